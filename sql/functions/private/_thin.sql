-- Deletes jobs that are final and past retention from one block, or, without a range, from what the default partitions hold. Bounded. The deletes name the range
-- beside the array, since an array alone would be looked for in every block.
create function pgqueue._thin(low bigint, high bigint) returns bigint
language plpgsql
as $$
declare
  v_jobs bigint[];
  v_first bigint;
  v_last bigint;
begin
  if low is null then
    v_jobs := array(
      select o.job_id from pgqueue.outcome_default o
      join pgqueue.job_default j on j.id = o.job_id
      cross join pgqueue.config c
      left join pgqueue.queue q on q.name = j.queue
      where o.finished_at + coalesce(q.retention, c.retention) <= pgqueue._now() order by o.job_id limit 10000);
  else
    v_jobs := array(
      select o.job_id from pgqueue.outcome o
      join pgqueue.job j on j.id = o.job_id and j.id >= _thin.low and j.id < _thin.high
      cross join pgqueue.config c
      left join pgqueue.queue q on q.name = j.queue
      where o.job_id >= _thin.low and o.job_id < _thin.high
        and o.finished_at + coalesce(q.retention, c.retention) <= pgqueue._now() order by o.job_id limit 10000);
  end if;
  if cardinality(v_jobs) = 0 then
    return 0;
  end if;
  v_first := v_jobs[1];
  v_last := v_jobs[cardinality(v_jobs)];
  delete from pgqueue.attempt_error e where e.job_id between v_first and v_last and e.job_id = any(v_jobs);
  delete from pgqueue.outcome o where o.job_id between v_first and v_last and o.job_id = any(v_jobs);
  delete from pgqueue.job j where j.id between v_first and v_last and j.id = any(v_jobs);
  return cardinality(v_jobs);
end $$;
