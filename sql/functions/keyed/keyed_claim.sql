create function pgqueue.keyed_claim(
  queue text,
  key text default null,
  id bigint default null,
  concurrency integer default 1,
  process_id text default null)
returns setof pgqueue.keyed_claim_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_claim pgqueue.keyed_claim_info;
  v_room record;
begin
  if not coalesce(octet_length(queue) between 1 and 450 and queue !~ '[\x01-\x1f\x7f-\x9f]' and coalesce(concurrency, 0) >= 0 and process_id is null, false) then
    perform pgqueue._check_name('queue', queue, 1000);
    perform pgqueue._check_concurrency(concurrency);
    perform pgqueue._check_process(process_id);
  end if;
  v_room := pgqueue._keyed_room(queue, concurrency, case when keyed_claim.id is null then pgqueue._keyed_id(queue, key, null) else keyed_claim.id end);
  v_claim.pending := v_room.pending;
  v_claim.active := v_room.active;
  v_claim.refused := case
    when v_room.paused then 'paused'
    when v_room.room <= 0 then 'budget'
    when v_room.item is null or v_room.item_queue <> keyed_claim.queue or v_room.item_key <> keyed_claim.key then 'unknown'
    when v_room.item_lease is not null then 'active'
    when v_room.item_exclusive and v_room.item_process is distinct from keyed_claim.process_id then 'exclusive'
    when not pgqueue._keyed_take(v_room.item, pgqueue._keyed_line(v_room.item_queue), v_room.forget) then 'busy' end;
  if v_claim.refused is null then
    v_claim.id := v_room.item;
    v_claim.pending := v_claim.pending - 1;
    v_claim.active := v_claim.active || v_room.item_key;
    v_claim.extra := v_room.item_extra;
    select p.payload into v_claim.payload from pgqueue.keyed_payload p where p.job_id = v_room.item;
  end if;
  return next v_claim;
end $$;

comment on function pgqueue.keyed_claim is
'Claims one item by its key, or by its id, of at most concurrency active ones (null: the queue''s max_running alone, which holds in any case). One row always: refused is null when the claim is made, else paused, budget (no place is free),
unknown (gone, or the id is not this key''s), active, exclusive (another process''s) or busy (another session is at it just now, or it waits for a retry), and nothing is changed. pending, active: what waits and the keys of what is
active now, with it. Claims of one queue go one after the other: commit soon. Errors: PQ001, PQ005 outside read committed.';
