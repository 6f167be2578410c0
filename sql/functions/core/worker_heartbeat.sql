-- One row, not one per job. Locks with skip locked: a worker that is just being declared lost is told by its next heartbeat.
--
-- Leases are named by array, found through the worker: asked for in the order of their ids, they would be looked for among everybody's.
create function pgqueue.worker_heartbeat(worker bigint, leases bigint[] default null)
returns table (action text, lease bigint, job_id bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_lease pgqueue.lease;
  v_held bigint[];
begin
  perform pgqueue._check_worker(worker);
  if array_ndims(leases) > 1 or array_position(leases, null) is not null then
    perform pgqueue._refuse('PQ001', 'leases holds a null or arrays', 'Give the ids of the leases you hold, or null for all of it while a claim is under way.');
  end if;
  update pgqueue.worker w set heartbeat_at = v_now
  where w.id = (select w.id from pgqueue.worker w where w.id = worker_heartbeat.worker for update skip locked);

  return query
  select 'cancel', l.id, c.job_id
  from pgqueue.lease l
  cross join unnest(l.job_ids) j(id)
  cross join lateral (select c.job_id from pgqueue.cancel_request c where c.job_id = j.id offset 0) c
  where l.worker_id = worker_heartbeat.worker;
  if leases is null then
    return;
  end if;
  return query
  select 'lost', i.id, null::bigint
  from unnest(worker_heartbeat.leases) i(id)
  where (select l.worker_id from pgqueue.lease l where l.id = i.id) is distinct from worker_heartbeat.worker;
  -- A claim whose answer was lost on the way would stay running for as long as its worker lives.
  v_held := array(
    select l.id from pgqueue.lease l
    where l.worker_id = worker_heartbeat.worker and l.id <> all(worker_heartbeat.leases) and l.claimed_at < v_now - interval '5 seconds');
  if cardinality(v_held) > 0 then
    v_held := pgqueue._try_batches(v_held);  -- a heartbeat that waits is not heard; what is busy now goes back with the next
  end if;
  for v_lease in
    select l.* from pgqueue.lease l where l.id = any(v_held) and l.worker_id = worker_heartbeat.worker order by l.id for update skip locked
  loop
    perform pgqueue._give_back(v_lease);
  end loop;
end $$;

comment on function pgqueue.worker_heartbeat is
'Says that the worker lives, and answers with what it should do: action ''cancel'': a cancel of job_id was asked for; ''lost'': the lease it named is no
longer its own, stop its jobs and settle nothing of it. leases: all the leases the worker knows of; what it does not name and was claimed more than 5
seconds ago goes back to the queue (the answer to that claim was lost). Give null while a claim is under way. Errors: PQ003 unknown worker: register again.';
