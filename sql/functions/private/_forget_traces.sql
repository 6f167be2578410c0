-- The log lines and events of jobs that are forgotten go with them. Few jobs have any, so first a look whether one of the range does.
create function pgqueue._forget_traces(jobs bigint[], low bigint, high bigint) returns void
language plpgsql
as $$
begin
  if exists (select from pgqueue.job_log l where l.job_id between low and high) then
    delete from pgqueue.job_log l where l.job_id between low and high and l.job_id = any(jobs);
  end if;
  if exists (select from pgqueue.job_event e where e.job_id between low and high) then
    delete from pgqueue.job_event e where e.job_id between low and high and e.job_id = any(jobs);
  end if;
end $$;
