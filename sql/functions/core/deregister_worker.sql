-- Leases are named by array: as in worker_heartbeat. Locks: the worker, all its leases, then the batches of its slices, before any of them is given back: a settle holds its lease while
-- it waits for a batch.
create function pgqueue.deregister_worker(worker bigint)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set jit = off
as $$
declare
  v_lease pgqueue.lease;
  v_held bigint[];
  v_done integer := 0;
begin
  perform from pgqueue.worker w where w.id = deregister_worker.worker for update;
  perform pgqueue._check_worker(worker);
  v_held := array(select l.id from pgqueue.lease l where l.worker_id = deregister_worker.worker);
  perform from pgqueue.lease l where l.id = any(v_held) and l.worker_id = deregister_worker.worker order by l.id for update;
  perform pgqueue._lock_batches(v_held);
  for v_lease in
    select l.* from pgqueue.lease l where l.id = any(v_held) and l.worker_id = deregister_worker.worker order by l.id for update
  loop
    v_done := v_done + pgqueue._give_back(v_lease);
  end loop;
  delete from pgqueue.worker w where w.id = deregister_worker.worker;
  return v_done;
end $$;

comment on function pgqueue.deregister_worker is
'Ends a worker in order. Jobs it still holds go back to their queues, no attempt spent; returns their number. Errors: PQ003 unknown worker.';
