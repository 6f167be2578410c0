-- The steps stand where they always stand, counted from the year 2000 in UTC, so that two calls agree on them.
create function pgqueue.throughput(
  queue text default null,
  kind text default null,
  since timestamptz default null,
  until timestamptz default null,
  step interval default '1 minute',
  by_kind boolean default false)
returns setof pgqueue.throughput_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_until timestamptz := coalesce(throughput.until, pgqueue._now());
  v_since timestamptz;
  v_step interval;
begin
  perform pgqueue._check_time('until', v_until);
  v_since := coalesce(throughput.since, v_until - interval '1 hour');
  perform pgqueue._check_time('since', v_since);
  perform pgqueue._check_interval('step', throughput.step, true);
  -- date_bin knows no months: thirty days each, as PostgreSQL counts them.
  v_step := make_interval(secs => extract(epoch from throughput.step)::float8);
  if v_step is null or v_step < interval '1 minute' or extract(epoch from v_step)::numeric % 60 <> 0 then
    perform pgqueue._refuse('PQ001', format('step is %s', coalesce(throughput.step::text, 'null')), 'What has ended is counted by the minute: give a whole number of them.');
  end if;
  if throughput.by_kind is null then
    perform pgqueue._refuse('PQ001', 'by_kind is null', 'Say true for a row for each kind, or false.');
  end if;
  return query
  with part as materialized (
    select date_bin(v_step, m.minute, timestamptz '2000-01-01 00:00+00') as at, m.queue, case when throughput.by_kind or throughput.kind is not null then m.kind end as kind,
      m.succeeded, m.failed, m.cancelled, m.wait_buckets, m.run_buckets, m.wait_max, m.run_max
    from pgqueue.metric m
    where m.minute >= date_trunc('minute', v_since, 'UTC') and m.minute < v_until
      and (throughput.queue is null or m.queue = throughput.queue) and (throughput.kind is null or m.kind = throughput.kind)),
  counted as (
    select p.at, p.queue, p.kind, sum(p.succeeded)::bigint as succeeded, sum(p.failed)::bigint as failed, sum(p.cancelled)::bigint as cancelled,
      max(p.wait_max) as wait_max, max(p.run_max) as run_max
    from part p group by p.at, p.queue, p.kind),
  sums as (
    select p.at, p.queue, p.kind, b.nth, sum(b.waits) as waits, sum(b.runs) as runs
    from part p cross join lateral unnest(p.wait_buckets, p.run_buckets) with ordinality b(waits, runs, nth)
    group by p.at, p.queue, p.kind, b.nth),
  spread as (
    select s.at, s.queue, s.kind, array_agg(coalesce(s.waits, 0)::bigint order by s.nth) as waits, array_agg(coalesce(s.runs, 0)::bigint order by s.nth) as runs
    from sums s group by s.at, s.queue, s.kind)
  select c.at, c.queue, c.kind, c.succeeded, c.failed, c.cancelled,
    pgqueue._percentile(s.waits, 0.5, c.wait_max), pgqueue._percentile(s.waits, 0.95, c.wait_max), c.wait_max,
    pgqueue._percentile(s.runs, 0.5, c.run_max), pgqueue._percentile(s.runs, 0.95, c.run_max), c.run_max
  from counted c
  left join spread s on s.at = c.at and s.queue = c.queue and s.kind is not distinct from c.kind
  order by c.at, c.queue, c.kind;
end $$;

comment on function pgqueue.throughput is
'What has ended and how long it took, by steps of time and queue, and by kind too with by_kind or when a kind is asked for; steps without any have no row. since: an hour ago;
until: now; step: whole minutes. wait: from the enqueue to the claim, of jobs that ended at their first attempt (a delay counts); run: from the claim that ended it to its
outcome. The percentiles come from a distribution by powers of two, interpolated: right to a factor of two, mostly much closer; max is exact. Upkeep counts every ten
seconds or so; jobs of queues without history are not counted. Kept for metric_retention (7 days; see configure). Errors: PQ001.';
