-- Takes a job back that this transaction has just made with _new_sql_job: nobody has seen it.
create function pgqueue._forget_new_job(job bigint) returns void
language plpgsql
as $$
begin
  delete from pgqueue.arrival a where a.job_id = job;
  delete from pgqueue.job j where j.id = _forget_new_job.job;
  delete from pgqueue.deadline d where d.job_id = _forget_new_job.job;
end $$;
