-- Pages by job id, newest first. Which rows are walked depends on the state asked for: final ones by the outcome indexes, waiting ones by
-- the places they wait in, so that a rare state among millions of jobs is found without walking them. No index knows the queue or the kind of history, so there the
-- walk ends after a million rows. Sorting is disabled for the walks' sake: with the statistics of an empty table to sort all is as good as an index that gives
-- the order.
create function pgqueue.jobs(
  queue text default null,
  kind text default null,
  state text default null,
  before bigint default null,
  max integer default 50)
returns setof pgqueue.job_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_before bigint := coalesce(before, 9223372036854775807);
  v_far integer := case when num_nonnulls(queue, kind) = 0 then max else 1000000 end;
  v_ids bigint[];
begin
  if jobs.max is null or jobs.max not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(jobs.max::text, 'null')), 'Ask for 1 to 10000 jobs a page.');
  end if;
  if jobs.state not in ('held', 'scheduled', 'queued', 'running', 'succeeded', 'failed', 'cancelled') then
    perform pgqueue._refuse('PQ001', format('state %L is unknown', jobs.state),
      'States are held, scheduled, queued, running, succeeded, failed and cancelled.');
  end if;

  if jobs.state is null then
    v_ids := array(
      select j.id
      from (select j.id, j.queue, j.kind from pgqueue.job j where j.id < v_before order by j.id desc limit v_far) j
      where (jobs.queue is null or j.queue = jobs.queue) and (jobs.kind is null or j.kind = jobs.kind)
      order by j.id desc limit jobs.max);
  elsif jobs.state in ('succeeded', 'failed', 'cancelled') then
    v_ids := pgqueue._page_of_final(jobs.queue, jobs.kind, jobs.state, v_before, v_far, jobs.max);
  else
    v_ids := pgqueue._page_of_live(jobs.queue, jobs.kind, jobs.state, v_before, v_far, jobs.max);
  end if;

  return query
  with held as materialized (
    select l.worker_id, l.claimed_at, e.id, e.attempt
    from pgqueue.lease l cross join unnest(l.job_ids, l.attempts) e(id, attempt)
    where e.id in (select i from unnest(v_ids) i))
  select j.id, j.queue, j.kind, coalesce(o.state::text, w.state, 'running'), o.reason,
    coalesce(w.priority_now, (select p.priority from pgqueue.changed_priority p where p.job_id = j.id), j.priority)::integer,
    coalesce(o.attempt, w.attempt, h.attempt, 0)::integer,
    coalesce(j.max_attempts, (select q.max_attempts from pgqueue.queue q where q.name = j.queue), 5)::integer,
    w.run_at, j.created_at, coalesce(o.claimed_at, h.claimed_at), o.finished_at, coalesce(o.worker_id, h.worker_id), j.unique_key, j.group_key
  from unnest(v_ids) with ordinality i(id, ord)
  cross join lateral (select * from pgqueue.job j where j.id = i.id offset 0) j
  left join lateral (select * from pgqueue.outcome o where o.job_id = i.id offset 0) o on true
  left join lateral pgqueue._waiting(j.id, j.queue, j.priority) w on true
  left join held h on h.id = i.id
  order by i.ord;
end $$;

comment on function pgqueue.jobs is
'Jobs, newest first, at most max of them (1 to 10000), filtered by queue, kind and state where given. For the next page pass the last id as before.
History has no index by queue or kind: these look through the newest million jobs below before, or the newest million in the state asked for, which takes up to a
second or two, and no further. Errors: PQ001.';
