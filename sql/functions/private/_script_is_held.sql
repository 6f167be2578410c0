-- Whether a script waits for other jobs: its own status knows nothing of that.
create function pgqueue._script_is_held(script pgqueue.script) returns boolean
language sql stable
return (script).status = 'queued' and (script).started_at is null and (select d.job_id from pgqueue.dependent d where d.job_id = (script).job_id) is not null;
