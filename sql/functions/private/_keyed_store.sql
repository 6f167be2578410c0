-- Writes a new item whose key is taken: with the place where it waits, or, `claimed`, with a lease of a client's. In one statement, as each costs more than what it writes.
create function pgqueue._keyed_store(
  item bigint,
  queue text,
  key text,
  payload text,
  priority integer,
  orphan_ms bigint,
  process_id text,
  exclusive boolean,
  external_id text,
  stage_key text,
  max_attempts integer,
  claimed boolean,
  forget smallint) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_line text := pgqueue._keyed_line(queue, case when exclusive then process_id end);
begin
  with job as (
    insert into pgqueue.job (id, created_at, priority, max_attempts, queue, kind, unique_key, args)
    values (item, v_now, _keyed_store.priority, _keyed_store.max_attempts, v_line, 'keyed.item', _keyed_store.key, '{}')),
  place as (
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select item, item, 1025, _keyed_store.priority, 0, v_line where not claimed),
  held as (
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    select pgqueue._lease_number(), 0, v_now, _keyed_store.forget, pgqueue._keyed_line(_keyed_store.queue), array[item], array[1::smallint], array[1025] where claimed
    returning id),
  what as (
    insert into pgqueue.keyed_payload (job_id, payload) values (item, _keyed_store.payload)),
  who as (
    insert into pgqueue.keyed_request (job_id, at, orphan_at, external_id)
    select item, v_now, v_now + pgqueue._ms(orphan_ms), _keyed_store.external_id where external_id is not null)
  insert into pgqueue.keyed_item (job_id, lease_id, created_at, claimed_at, heartbeat_at, orphan_at, priority, exclusive, queue, key, process_id, stage_key)
  values (item, (select h.id from held h), v_now, case when claimed then v_now end, case when claimed then v_now end, v_now + pgqueue._ms(orphan_ms), _keyed_store.priority,
    _keyed_store.exclusive, _keyed_store.queue, _keyed_store.key, _keyed_store.process_id, _keyed_store.stage_key);
  if claimed then
    return;
  end if;
  -- Claims know where to look, and workers who sleep are told.
  if not pgqueue._lane_known(v_line, priority) then
    perform pgqueue._open_lane(v_line, priority::smallint, false);
  end if;
  if not pgqueue._nobody_sleeps(v_line) then
    perform pgqueue._wake(v_line);
  end if;
end $$;
