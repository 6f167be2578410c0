-- One row, not one per job. Locks with skip locked: a worker that is just being declared lost is told by its next heartbeat.
create function pgqueue.worker_heartbeat(worker bigint, leases bigint[] default null)
returns table (action text, lease bigint, job_id bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_lease pgqueue.lease;
begin
  perform pgqueue._check_worker(worker);
  if array_ndims(leases) > 1 or array_position(leases, null) is not null then
    perform pgqueue._refuse('PQ001', 'leases holds a null or arrays', 'Give the ids of the leases you hold, or null for all of it while a claim is under way.');
  end if;
  update pgqueue.worker w set heartbeat_at = v_now
  where w.id = (select w.id from pgqueue.worker w where w.id = worker_heartbeat.worker for update skip locked);

  return query
  select 'cancel', l.id, c.job_id
  from pgqueue.lease l cross join unnest(l.job_ids) j(id) join pgqueue.cancel_request c on c.job_id = j.id
  where l.worker_id = worker_heartbeat.worker;
  if leases is null then
    return;
  end if;
  return query
  select 'lost', i.id, null::bigint
  from unnest(worker_heartbeat.leases) i(id)
  where not exists (select from pgqueue.lease l where l.id = i.id and l.worker_id = worker_heartbeat.worker);
  -- A claim whose answer was lost on the way would stay running for as long as its worker lives.
  for v_lease in
    select l.* from pgqueue.lease l
    where l.worker_id = worker_heartbeat.worker and l.id <> all(worker_heartbeat.leases) and l.claimed_at < v_now - interval '5 seconds'
    order by l.id for update skip locked
  loop
    perform pgqueue._give_back(v_lease);
  end loop;
end $$;

comment on function pgqueue.worker_heartbeat is
'Says that the worker lives, and answers with what it should do: action ''cancel'': a cancel of job_id was asked for; ''lost'': the lease it named is no
longer its own, stop its jobs and settle nothing of it. leases: all the leases the worker knows of; what it does not name and was claimed more than 5
seconds ago goes back to the queue (the answer to that claim was lost). Give null while a claim is under way. Errors: PQ003 unknown worker: register again.';
