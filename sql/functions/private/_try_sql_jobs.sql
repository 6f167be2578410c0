-- Locks what users lock of scripts and queries that run when they cancel them: the scripts, and the server processes that run their SQL. False when somebody has one of them, for as long as a
-- user's transaction may be; it never waits. Others than scripts and queries have nothing there to lock.
create function pgqueue._try_sql_jobs(jobs bigint[]) returns boolean
language plpgsql
as $$
declare
  v_job bigint;
begin
  foreach v_job in array jobs loop
    perform from pgqueue.script s where s.job_id = v_job for update skip locked;
    if not found and exists (select from pgqueue.script s where s.job_id = v_job) then
      return false;
    end if;
    perform from pgqueue.backend b where b.job_id = v_job for update skip locked;
    if not found and exists (select from pgqueue.backend b where b.job_id = v_job) then
      return false;
    end if;
  end loop;
  return true;
end $$;
