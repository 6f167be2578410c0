-- Deletes jobs that are final and past retention from one block, or, without a range, from what the default partitions hold. Bounded. Outcomes are walked in the
-- order of their ids, and a job row is looked up only for one that is old enough for the shortest retention there is: so that a block in which
-- nothing is due costs one walk. The deletes name the range beside the array, since an array alone would be looked for in every block.
create function pgqueue._thin(low bigint, high bigint) returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_retention interval;
  v_until timestamptz;
  v_jobs bigint[];
  v_first bigint;
  v_last bigint;
begin
  select c.retention into v_retention from pgqueue.config c;
  select max(v_now - r.retention) into v_until
  from (select v_retention as retention union all select q.retention from pgqueue.queue q where q.retention is not null) r;
  if low is null then
    v_jobs := array(
      select o.job_id
      from (select o.job_id, o.finished_at from pgqueue.outcome_default o where o.finished_at <= v_until order by o.job_id) o
      cross join lateral (select j.queue from pgqueue.job_default j where j.id = o.job_id offset 0) j
      where o.finished_at + coalesce((select q.retention from pgqueue.queue q where q.name = j.queue), v_retention) <= v_now
      limit 10000);
  else
    v_jobs := array(
      select o.job_id
      from (
        select o.job_id, o.finished_at from pgqueue.outcome o
        where o.job_id >= _thin.low and o.job_id < _thin.high and o.finished_at <= v_until order by o.job_id) o
      cross join lateral (select j.queue from pgqueue.job j where j.id = o.job_id and j.id >= _thin.low and j.id < _thin.high offset 0) j
      where o.finished_at + coalesce((select q.retention from pgqueue.queue q where q.name = j.queue), v_retention) <= v_now
      limit 10000);
  end if;
  if cardinality(v_jobs) = 0 then
    return 0;
  end if;
  select min(i), max(i) into v_first, v_last from unnest(v_jobs) i;
  perform pgqueue._forget_traces(v_jobs, v_first, v_last);
  delete from pgqueue.attempt_error e where e.job_id between v_first and v_last and e.job_id = any(v_jobs);
  delete from pgqueue.outcome o where o.job_id between v_first and v_last and o.job_id = any(v_jobs);
  delete from pgqueue.job j where j.id between v_first and v_last and j.id = any(v_jobs);
  return cardinality(v_jobs);
end $$;
