-- Counts what is there; no counter can drift. Rates are those of the last minute, found by the block range index on finished_at; the jobs of these outcomes are looked up
-- one by one, as a join may take to reading all jobs there are.
create function pgqueue.queues()
returns table (
  queue text,
  paused boolean,
  queued bigint,
  scheduled bigint,
  held bigint,
  running bigint,
  oldest_age interval,
  done_per_minute bigint,
  failed_per_minute bigint,
  settings jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
begin
  return query
  with waiting as (
    select w.queue, count(*) as queued, min(w.job_id) as oldest
    from (
      select r.queue, r.job_id from pgqueue.ready r
      union all select a.queue, a.job_id from pgqueue.arrival a where a.job_id is not null
      union all select s.queue, s.job_id from pgqueue.suspect s
      union all select s.queue, s.job_id from pgqueue.line s) w
    group by w.queue),
  later as (select s.queue, count(*) as scheduled from pgqueue.scheduled s group by s.queue),
  held as (
    select b.queue, count(*) as held
    from (select b.queue from pgqueue.blocked b union all select h.queue from pgqueue.held h union all select d.queue from pgqueue.dependent d) b group by b.queue),
  leased as (select l.queue, sum(cardinality(l.job_ids)) as running from pgqueue.lease l group by l.queue),
  done as (
    select j.queue, count(*) filter (where o.state = 'succeeded') as done, count(*) filter (where o.state = 'failed') as failed
    from pgqueue.outcome o
    cross join lateral (select j.queue from pgqueue.job j where j.id = o.job_id offset 0) j
    where o.finished_at > v_now - interval '1 minute' group by j.queue),
  names as (
    select q.name from pgqueue.queue q
    union select l.queue from pgqueue.lane l
    union select l.queue from later l
    union select h.queue from held h
    union select d.queue from done d)
  select n.name, q.paused_at is not null, coalesce(w.queued, 0), coalesce(l.scheduled, 0), coalesce(h.held, 0), coalesce(r.running, 0)::bigint,
    v_now - (select j.created_at from pgqueue.job j where j.id = w.oldest),
    coalesce(d.done, 0), coalesce(d.failed, 0), pgqueue._queue_settings(n.name)
  from names n
  left join pgqueue.queue q on q.name = n.name
  left join waiting w on w.queue = n.name
  left join later l on l.queue = n.name
  left join held h on h.queue = n.name
  left join leased r on r.queue = n.name
  left join done d on d.queue = n.name
  order by n.name;
end $$;

comment on function pgqueue.queues is
'One row per queue that was ever used or configured: what waits, what runs, the age of the oldest queued job, outcomes of the last minute, settings. Counts
are exact, so with millions of queued jobs this takes a second.';
