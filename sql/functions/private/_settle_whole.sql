-- The hot path of settle for several leases at once, as of a worker that serves many queues. Returns the leases that were settled: those without traits
-- whose jobs are named one and all, in their order. The others are as they were.
create function pgqueue._settle_whole(leases bigint[], jobs bigint[], results jsonb[]) returns bigint[]
language plpgsql
as $$
declare
  v_whole bigint[];
begin
  with named as materialized (
    select i.lease, array_agg(i.job order by i.ord) as jobs
    from unnest(leases, jobs) with ordinality i(lease, job, ord) group by i.lease),
  held as materialized (
    select l.id, l.job_ids from pgqueue.lease l
    where l.id = any(leases) and l.traits is null and l.forget = 0 order by l.id for update skip locked)
  select array_agg(h.id) into v_whole from held h join named n on n.lease = h.id and n.jobs = h.job_ids;
  if v_whole is null then
    return array[]::bigint[];
  end if;
  with given as materialized (
    select i.job, i.result from unnest(leases, jobs, results) i(lease, job, result) where i.lease = any(v_whole)),
  gone as (
    delete from pgqueue.lease l where l.id = any(v_whole) returning l.worker_id, l.claimed_at, l.job_ids, l.attempts)
  insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt, result)
  select e.id, pgqueue._now(), h.claimed_at, h.worker_id, 'succeeded', e.attempt, g.result
  from gone h cross join lateral unnest(h.job_ids, h.attempts) e(id, attempt) join given g on g.job = e.id;
  perform pgqueue._announce(jobs);
  return v_whole;
end $$;
