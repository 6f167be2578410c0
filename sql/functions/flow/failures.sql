-- The error of the last attempt, job by job: each walk is along an index, newest first, and ends after so many.
create function pgqueue.failures(
  queue text default null,
  kind text default null,
  since timestamptz default null,
  max integer default 100)
returns setof pgqueue.failure_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  if failures.max is null or failures.max not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(failures.max::text, 'null')), 'Ask for 1 to 10000 rows.');
  end if;
  return query
  with failed as materialized (
    select o.job_id, o.reason, o.finished_at
    from (
      select o.job_id, o.reason, o.finished_at, o.state from pgqueue.outcome o where o.job_id < 9223372036854775807 and o.state <> 'succeeded' order by o.job_id desc limit 100000) o
    where o.state = 'failed' and (failures.since is null or o.finished_at >= failures.since)),
  error as (
    select f.job_id, f.reason, f.finished_at, j.queue, j.kind, (
      select e.error from pgqueue.attempt_error e where e.job_id = f.job_id order by e.failed_at desc limit 1) as error
    from failed f
    cross join lateral (select j.queue, j.kind from pgqueue.job j where j.id = f.job_id offset 0) j
    where (failures.queue is null or j.queue = failures.queue) and (failures.kind is null or j.kind = failures.kind))
  select e.queue::text, e.kind::text, e.reason, e.error ->> 'type', (array_agg(e.error ->> 'message' order by e.job_id desc))[1], count(*), min(e.finished_at), max(e.finished_at), max(e.job_id)
  from error e
  group by e.queue, e.kind, e.reason, e.error ->> 'type'
  order by max(e.finished_at) desc, max(e.job_id) desc
  limit failures.max;
end $$;

comment on function pgqueue.failures is
'Failed jobs that nobody has retried or deleted, by queue, kind, reason and type of their last error; newest first, at most max rows. message: that of last_job, the newest. since: those that failed from then on. It looks at the newest 100000 jobs by id
that failed or were cancelled, and no further. For the jobs behind a row: retry_jobs and the others with a filter of the same names. Errors: PQ001.';
