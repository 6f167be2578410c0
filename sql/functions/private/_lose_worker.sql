-- A worker is lost: its row goes, and what its leases hold is queued again. Crashes are counted apart from attempts. Who is to blame is not known, so
-- at first every job it held is suspected once. When it held suspects already, those with the highest count alone are blamed and the others go back
-- as they were: since a worker is never given two jobs of two or more crashes (see _claim_suspect), a poison job's count soon outruns its neighbours'.
-- Leases another session has locked are being settled; they stay, without a worker, for the next pass. So do those of scripts and queries that somebody cancels just now. They are named by array: as in worker_heartbeat.
-- `slices`: of the leases that carry rows of batches, only these may be touched, their batches are locked; null means all.
create function pgqueue._lose_worker(worker bigint, slices bigint[] default null) returns integer
language plpgsql
as $$
declare
  v_lease pgqueue.lease;
  v_held bigint[];
  v_blamed smallint;
  v_done integer := 0;
begin
  delete from pgqueue.worker w where w.id = _lose_worker.worker;
  v_held := array(select l.id from pgqueue.lease l where l.worker_id = _lose_worker.worker);
  select max((select c.crashes from pgqueue.crash c where c.job_id = j.id)) into v_blamed
  from pgqueue.lease l cross join unnest(l.job_ids, l.traits) j(id, traits)
  where l.id = any(v_held) and j.traits & 32 <> 0;
  for v_lease in
    select l.* from pgqueue.lease l where l.id = any(v_held) order by l.id for update skip locked
  loop
    continue when v_lease.id <> all(slices) and exists (select from unnest(v_lease.traits) t where t & 512 <> 0);
    continue when exists (select from unnest(v_lease.traits) t where t & 128 <> 0) and not pgqueue._try_sql_jobs(v_lease.job_ids);
    delete from pgqueue.lease l where l.id = v_lease.id;
    perform pgqueue._rescue_jobs(v_lease, v_lease.job_ids, v_lease.attempts, v_lease.traits, coalesce(v_blamed, 0::smallint));
    v_done := v_done + cardinality(v_lease.job_ids);
  end loop;
  return v_done;
end $$;
