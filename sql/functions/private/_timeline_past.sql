-- The part of job_timeline that tells of what has happened while the job waited and ran: attempts, log lines, requests, events. `rank`: the order of what has the same time.
create function pgqueue._timeline_past(job bigint)
returns table (at timestamptz, rank integer, event text, detail text, data jsonb)
language plpgsql
as $$
#variable_conflict use_column
begin
  return query
  select e.failed_at, 50, case e.reason when 'error' then 'attempt failed' when 'timeout' then 'attempt timed out' when 'worker_lost' then 'worker lost' else e.reason end,
    concat_ws(': ', format('attempt %s', e.attempt) || coalesce(' on worker ' || e.worker_id, ''), pgqueue._error_text(e.error)),
    jsonb_build_object('attempt', e.attempt, 'reason', e.reason, 'worker', e.worker_id, 'error', e.error)
  from pgqueue.attempt_error e where e.job_id = job;
  return query
  select l.first_at, 40, 'logged'::text,
    format('%s in attempt %s%s', case l.lines when 1 then 'one line' else l.lines || ' lines' end, l.attempt,
      case when l.lines > 1 then format(', until %s', to_char(l.last_at, 'YYYY-MM-DD HH24:MI:SS OF')) else '' end) || ': ' || left(split_part(l.last, E'\n', 1), 200),
    jsonb_build_object('attempt', l.attempt, 'lines', l.lines, 'first_line', l.first_line, 'last_line', l.last_line, 'last_at', l.last_at, 'levels', l.levels)
  from (
    select n.attempt, sum(n.lines)::bigint as lines, min(n.first_line) as first_line, max(n.last_line) as last_line, min(n.first_at) as first_at, max(n.last_at) as last_at,
      jsonb_object_agg(n.level, n.lines) as levels,
      (select o.message from pgqueue.job_log o where o.job_id = job and o.line = max(n.last_line)) as last
    from (
      select g.attempt, g.level, count(*) as lines, min(g.line) as first_line, max(g.line) as last_line, min(g.at) as first_at, max(g.at) as last_at
      from pgqueue.job_log g where g.job_id = job group by g.attempt, g.level) n
    group by n.attempt) l;
  return query
  select c.requested_at, 30, 'cancel requested'::text, c.why, jsonb_build_object('why', c.why) from pgqueue.cancel_request c
  where c.job_id = job and not exists (select from pgqueue.job_event e where e.job_id = job and e.event = 'cancel requested');
  return query
  select p.heartbeat_at, 45, 'progress'::text, left(p.progress::text, 300), jsonb_build_object('progress', p.progress)
  from pgqueue.progress p where p.job_id = job;
  return query
  select e.at, 35, e.event, pgqueue._event_text(e.data), e.data from pgqueue.job_event e where e.job_id = job;
end $$;
