-- One line of the list of scripts.
create function pgqueue._script_line(script pgqueue.script) returns pgqueue.script_line
language sql stable
return (
  select ((script).job_id, (script).owner::text, (script).queue::text, case when pgqueue._script_is_held(script) then 'held' else (script).status end, (script).fallback_status, (script).failed_reason, (script).length,
    (select count(*)::integer from pgqueue.script_query q where q.job_id = (script).job_id and q.status in ('succeeded', 'failed', 'cancelled')),
    (script).created_at, (script).updated_at, (script).ended_at)::pgqueue.script_line);
