-- From the list itself, not by the claim's lanes: in its order, with those that came back from a crash, and wherever they stand. Who has the queue's lock meets nobody else here
-- but workers' claims, whose items it skips.
create function pgqueue.keyed_claim_next(
  queue text,
  concurrency integer default null,
  process_id text default null,
  n integer default 1)
returns table (id bigint, key text, payload text, extra text, pending integer, active text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_line text := pgqueue._keyed_line(queue);
  v_room record;
  v_left integer;
  v_item bigint;
  v_items bigint[] := array[]::bigint[];
begin
  if not coalesce(octet_length(queue) between 1 and 450 and queue !~ '[\x01-\x1f\x7f-\x9f]' and coalesce(concurrency, 0) >= 0 and process_id is null and n between 1 and 1000, false) then
    perform pgqueue._check_name('queue', queue, 1000);
    perform pgqueue._check_concurrency(concurrency);
    perform pgqueue._check_process(process_id);
    if coalesce(n, 0) not between 1 and 1000 then
      perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Give a whole number from 1 to 1000.');
    end if;
  end if;
  v_room := pgqueue._keyed_room(queue, concurrency, null);
  v_left := least(n, v_room.room, v_room.pending);
  if v_left <= 0 or v_room.paused then
    return;
  end if;
  for v_item in
    select i.job_id from pgqueue.keyed_item i
    where i.queue = keyed_claim_next.queue and i.lease_id is null and (not i.exclusive or i.process_id = keyed_claim_next.process_id)
    order by i.priority desc, i.job_id
  loop
    continue when not pgqueue._keyed_take(v_item, v_line, v_room.forget);
    v_items := v_items || v_item;
    v_left := v_left - 1;
    exit when v_left = 0;
  end loop;
  return query
  select i.job_id, i.key::text, p.payload, i.extra, v_room.pending - cardinality(v_items),
    v_room.active || array(select k.key from unnest(v_items) o(id) cross join lateral (select k.key from pgqueue.keyed_item k where k.job_id = o.id offset 0) k)
  from unnest(v_items) with ordinality e(id, ord)
  cross join lateral (select i.* from pgqueue.keyed_item i where i.job_id = e.id offset 0) i
  cross join lateral (select p.payload from pgqueue.keyed_payload p where p.job_id = e.id offset 0) p
  order by e.ord;
end $$;

comment on function pgqueue.keyed_claim_next is
'Claims the next items of a queue, up to n and to what concurrency (null: the queue''s max_running alone, which holds in any case) leaves free: higher priority first, then the oldest; none when there is none. Callers do not race for one head. Errors: PQ001, PQ005
outside read committed.';
