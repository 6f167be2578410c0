-- What a job that is to run again has to know of others: 4096 some wait for its end, 8192 it has follow-ups.
create function pgqueue._flow_traits(job bigint) returns integer
language sql
as $$
  select case when exists (select from pgqueue.dependency d where d.parent_id = $1) then 4096 else 0 end
    + case when exists (select from pgqueue.follow_up f where f.job_id = $1) then 8192 else 0 end;
$$;
