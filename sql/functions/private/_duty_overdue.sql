-- Upkeep: running jobs that broke their own heartbeat promise (lost, as after a crash), and jobs past their timeout by more than `lost_after` (the worker
-- should have ended them; one that does not enforce timeouts, or hangs, must not keep them). Both are taken out of their lease, so whatever
-- the worker says of them later is stale. Jobs that run users' SQL have limits of their own, for each statement, and their servers keep to those.
--
-- All leases are looked through, and of their jobs only those whose traits say that they have a promise or a timeout are looked up, one by one (the offsets keep that
-- from becoming a join with whole blocks).
create function pgqueue._duty_overdue() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_lost_after interval;
  v_late record;
  v_lease pgqueue.lease;
  v_done bigint := 0;
begin
  select c.lost_after into v_lost_after from pgqueue.config c;
  for v_late in
    select h.lease, h.id, h.attempt, h.traits, h.silent
    from (
      select l.id as lease, e.id, e.attempt, coalesce(e.traits, 0) as traits,
        coalesce(coalesce(p.heartbeat_at, l.claimed_at) + j.heartbeat < v_now, false) as silent,
        l.claimed_at + coalesce(j.timeout, q.timeout) + v_lost_after < v_now and coalesce(e.traits, 0) & 128 = 0 as late
      from pgqueue.lease l
      left join pgqueue.queue q on q.name = l.queue
      cross join unnest(l.job_ids, l.attempts, l.traits) e(id, attempt, traits)
      left join lateral (select j.timeout, j.heartbeat from pgqueue.job j where e.traits & 12 <> 0 and j.id = e.id offset 0) j on true
      left join lateral (
        select p.heartbeat_at from pgqueue.progress p where e.traits & 8 <> 0 and p.job_id = e.id and p.lease_id = l.id offset 0) p on true
      where l.traits is not null or q.timeout is not null) h
    where h.silent or h.late
    order by h.lease, h.id limit 1000
  loop
    -- Its batch is locked without waiting: this late in a pass there may be something in hand that others wait for.
    continue when v_late.traits & 512 <> 0 and cardinality(pgqueue._try_batches(array[v_late.lease])) = 0;
    select * into v_lease from pgqueue.lease l where l.id = v_late.lease for update skip locked;
    continue when not found or v_late.id <> all(v_lease.job_ids);
    perform pgqueue._unlease(v_lease, array[v_late.id]);
    if v_late.silent then
      perform pgqueue._rescue_jobs(v_lease, array[v_late.id], array[v_late.attempt], array[v_late.traits], 0::smallint);
    else
      perform pgqueue._settle_unsuccessful(v_lease, array[v_late.id], array['timeout'], array[v_late.attempt], array[v_late.traits],
        array[jsonb_build_object('type', 'Timeout', 'message', 'the job ran past its timeout and its worker did not end it')], array[null::interval]);
    end if;
    v_done := v_done + 1;
  end loop;
  return v_done;
end $$;
