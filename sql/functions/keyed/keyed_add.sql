create function pgqueue.keyed_add(
  queue text,
  key text,
  payload text,
  priority integer default 0,
  orphan_ms bigint default null,
  process_id text default null,
  exclusive boolean default false,
  external_id text default null,
  stage_key text default null,
  reuse boolean default false,
  max_attempts integer default 1)
returns table (id bigint, created boolean, pending integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_key record;
begin
  perform pgqueue._check_keyed_item(queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts);
  v_key := pgqueue._keyed_key(queue, key, priority, orphan_ms, external_id, reuse);
  id := v_key.id;
  created := v_key.created;
  if created then
    perform pgqueue._keyed_store(id, queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts, false, 0::smallint);
  end if;
  select count(*) into pending from pgqueue.keyed_item i where i.queue = keyed_add.queue and i.lease_id is null;
  return next;
end $$;

comment on function pgqueue.keyed_add is
'Adds an item to a keyed queue, or joins the one that holds the key (created false): its payload stands, its deadline moves later, its priority higher, if this request asks for that. Never waits for a claim. pending: the
items of the queue that wait.
payload: text of any size. orphan_ms: milliseconds after which the item counts as orphaned unless it is asked for again; null: the reader says. process_id: who adds it, up to 96 characters;
exclusive: only that process sees and claims it. external_id: up to 48 characters; whoever gave one reads the result any number of times. stage_key: for keyed_stage. reuse: a result of this key that nobody has read is
as good: its id comes back, created false. max_attempts: how often workers try; a client''s ack is final.
Errors: PQ001; PQ005 when a job that is no item holds the key. Nothing is stored then.';
