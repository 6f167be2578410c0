-- Counts the outcomes of one stretch of time, `until` not included, into metric. Returns how many there were, or null when there are more than `most` and nothing was done.
-- Outcomes are found by the block range index on finished_at, which only a bitmap can read; it knows the pages of the last minute not yet, so each call reads those. Jobs are read by their ids.
create function pgqueue._count_outcomes(since timestamptz, until timestamptz, most bigint) returns bigint
language plpgsql
set enable_bitmapscan = on
set enable_hashjoin = on
set work_mem = '32MB'
as $$
declare
  v_jobs bigint[];
  v_minutes timestamptz[];
  v_states pgqueue.final_state[];
  v_claims timestamptz[];
  v_runs interval[];
  v_low bigint;
  v_high bigint;
begin
  -- How long a job of a later attempt has waited its row does not tell: its time in the queue is mixed with what it did before.
  select array_agg(o.job_id), array_agg(date_trunc('minute', o.finished_at, 'UTC')), array_agg(o.state), array_agg(o.finished_at - o.claimed_at),
    array_agg(case when o.attempt = 1 then o.claimed_at end), min(o.job_id), max(o.job_id)
  into v_jobs, v_minutes, v_states, v_runs, v_claims, v_low, v_high
  from (
    select o.job_id, o.finished_at, o.state, o.claimed_at, o.attempt
    from pgqueue.outcome o where o.finished_at >= since and o.finished_at < until limit most + 1) o;
  if v_jobs is null then
    return 0;
  elsif cardinality(v_jobs) > most then
    return null;
  end if;
  insert into pgqueue.metric as m (minute, queue, kind, succeeded, failed, cancelled, wait_buckets, run_buckets, wait_max, run_max)
  with job as materialized (
    select j.id, j.queue, j.kind, j.created_at from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs)),
  done as (
    select e.minute, j.queue, j.kind, e.state, e.claimed_at - j.created_at as wait, e.run
    from unnest(v_jobs, v_minutes, v_states, v_claims, v_runs) e(id, minute, state, claimed_at, run)
    join job j on j.id = e.id),
  alike as materialized (
    select d.minute, d.queue, d.kind, d.state, pgqueue._duration_bucket(d.wait) as wait, pgqueue._duration_bucket(d.run) as run, count(*) as n, max(d.wait) as wait_max, max(d.run) as run_max
    from done d group by 1, 2, 3, 4, 5, 6)
  select a.minute, a.queue, a.kind,
    coalesce(sum(a.n) filter (where a.state = 'succeeded'), 0), coalesce(sum(a.n) filter (where a.state = 'failed'), 0), coalesce(sum(a.n) filter (where a.state = 'cancelled'), 0),
    pgqueue._spread(array_agg(a.wait), array_agg(a.n)), pgqueue._spread(array_agg(a.run), array_agg(a.n)), max(a.wait_max), max(a.run_max)
  from alike a
  group by a.minute, a.queue, a.kind
  on conflict (minute, queue, kind) do update
  set succeeded = m.succeeded + excluded.succeeded, failed = m.failed + excluded.failed, cancelled = m.cancelled + excluded.cancelled,
    wait_buckets = pgqueue._sum_buckets(m.wait_buckets, excluded.wait_buckets), run_buckets = pgqueue._sum_buckets(m.run_buckets, excluded.run_buckets),
    wait_max = greatest(m.wait_max, excluded.wait_max), run_max = greatest(m.run_max, excluded.run_max);
  return cardinality(v_jobs);
end $$;
