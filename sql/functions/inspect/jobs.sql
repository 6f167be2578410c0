-- Pages by job id, newest first. Which rows are walked depends on the state asked for: final ones by the outcome indexes, waiting ones by
-- the places they wait in, so that a rare state among millions of jobs is found without walking them.
create function pgqueue.jobs(
  queue text default null,
  kind text default null,
  state text default null,
  before bigint default null,
  max integer default 50)
returns setof pgqueue.job_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
  v_before bigint := coalesce(before, 9223372036854775807);
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
      select j.id from pgqueue.job j
      where j.id < v_before and (jobs.queue is null or j.queue = jobs.queue) and (jobs.kind is null or j.kind = jobs.kind)
      order by j.id desc limit jobs.max);
  elsif jobs.state in ('failed', 'cancelled') then
    v_ids := array(
      select o.job_id from pgqueue.outcome o join pgqueue.job j on j.id = o.job_id
      where o.job_id < v_before and o.state <> 'succeeded' and o.state = jobs.state::pgqueue.final_state
        and (jobs.queue is null or j.queue = jobs.queue) and (jobs.kind is null or j.kind = jobs.kind)
      order by o.job_id desc limit jobs.max);
  elsif jobs.state = 'succeeded' then
    v_ids := array(
      select o.job_id from pgqueue.outcome o join pgqueue.job j on j.id = o.job_id
      where o.job_id < v_before and o.state = 'succeeded'
        and (jobs.queue is null or j.queue = jobs.queue) and (jobs.kind is null or j.kind = jobs.kind)
      order by o.job_id desc limit jobs.max);
  else
    v_ids := array(
      select j.id
      from (
        select w.job_id
        from (select distinct l.queue, l.priority from pgqueue.lane l where jobs.state = 'queued' and (jobs.queue is null or l.queue = jobs.queue)) l
        cross join lateral (
          select w.job_id from pgqueue.ready w
          where w.queue = l.queue and w.priority = l.priority and w.seq < v_before and w.seq = w.job_id
            and (jobs.kind is null or exists (select from pgqueue.job j where j.id = w.job_id and j.kind = jobs.kind))
          order by w.seq desc limit jobs.max) w
        union all
        select w.job_id from pgqueue.ready w
        where jobs.state = 'queued' and w.job_id < v_before and w.seq <> w.job_id and (jobs.queue is null or w.queue = jobs.queue)
        union all
        select w.job_id from pgqueue.arrival w where jobs.state = 'queued' and w.job_id < v_before and (jobs.queue is null or w.queue = jobs.queue)
        union all
        select w.job_id from pgqueue.suspect w where jobs.state = 'queued' and w.job_id < v_before and (jobs.queue is null or w.queue = jobs.queue)
        union all
        select w.job_id from pgqueue.scheduled w
        where jobs.state = 'scheduled' and w.job_id < v_before and (jobs.queue is null or w.queue = jobs.queue)
        union all
        select w.job_id from pgqueue.blocked w where jobs.state = 'held' and w.job_id < v_before and (jobs.queue is null or w.queue = jobs.queue)
        union all
        select e.id from pgqueue.lease l cross join unnest(l.job_ids) e(id)
        where jobs.state = 'running' and e.id < v_before and (jobs.queue is null or l.queue = jobs.queue)) w
      join pgqueue.job j on j.id = w.job_id
      where jobs.kind is null or j.kind = jobs.kind
      order by j.id desc limit jobs.max);
  end if;

  return query
  select j.id, j.queue, j.kind, j.state, j.reason, j.priority, j.attempt, j.max_attempts, j.run_at, j.created_at, j.claimed_at, j.finished_at, j.worker_id,
    j.unique_key, j.group_key
  from unnest(v_ids) with ordinality i(id, ord) cross join lateral pgqueue._job_if_any(i.id) j
  order by i.ord;
end $$;

comment on function pgqueue.jobs is
'Jobs, newest first, at most max of them (1 to 10000), filtered by queue, kind and state where given. For the next page pass the last id as before.
Errors: PQ001.';
