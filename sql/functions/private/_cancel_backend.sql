-- Cancels what the recorded server process of a job runs, when that is in this very database: by process id and start, so never a later process. Waits a moment for it to end, so that whoever
-- has cancelled finds it gone. The row stays locked until the cancel is committed: the worker that sees its statement end takes the row away first, and so knows why. Without the right to do so nothing happens: the worker does it, over its own connection.
create function pgqueue._cancel_backend(job bigint) returns void
language plpgsql
as $$
declare
  v_pid integer;
begin
  perform from pgqueue.backend b where b.job_id = job for update;
  select b.pid into v_pid
  from pgqueue.backend b
  cross join lateral pg_stat_get_activity(b.pid) a
  where b.job_id = job and a.backend_start = b.backend_start and a.state = 'active'
    and (select j.args ->> 'datasource' from pgqueue.job j where j.id = b.job_id) is null;
  if v_pid is null or not pg_cancel_backend(v_pid) then
    return;
  end if;
  for v_look in 1..50 loop
    perform pg_sleep(0.002), pg_stat_clear_snapshot();
    exit when not exists (
      select from pgqueue.backend b cross join lateral pg_stat_get_activity(b.pid) a
      where b.job_id = job and a.backend_start = b.backend_start and a.state = 'active');
  end loop;
exception
  when insufficient_privilege then
    return;
end $$;
