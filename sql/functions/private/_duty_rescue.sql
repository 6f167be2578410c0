-- Upkeep: workers whose heartbeat ran out, and leases whose worker is gone.
create function pgqueue._duty_rescue() returns bigint
language plpgsql
as $$
declare
  v_worker bigint;
  v_done bigint := 0;
begin
  perform pgqueue._lock_batches(h.leases, h.jobs)
  from (
    select array_agg(l.id) as leases, array_agg(j.id) as jobs
    from pgqueue.lease l cross join unnest(l.job_ids) j(id)
    where l.traits is not null and l.worker_id <> 0
      and not coalesce((select w.heartbeat_at from pgqueue.worker w where w.id = l.worker_id) >= pgqueue._now() - (select c.lost_after from pgqueue.config c), false)) h
  where h.leases is not null;
  for v_worker in
    select w.id from pgqueue.worker w
    where w.heartbeat_at < pgqueue._now() - (select c.lost_after from pgqueue.config c)
    order by w.id limit 100 for update skip locked
  loop
    v_done := v_done + pgqueue._lose_worker(v_worker);
  end loop;
  for v_worker in
    select distinct l.worker_id from pgqueue.lease l
    where l.worker_id <> 0 and not exists (select from pgqueue.worker w where w.id = l.worker_id) order by 1 limit 100
  loop
    v_done := v_done + pgqueue._lose_worker(v_worker);
  end loop;
  return v_done;
end $$;
