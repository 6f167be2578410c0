-- The row of a job in ready, if it is there: at its first turn it stands in the lane and at the number its job row says, later under its id. Inlined, so
-- that it sees what its caller's statement sees: keep it one plain query. The lateral query with its offset says that the lane is known: without it the planner
-- knows the turn from the id, and with the statistics of an empty table walks the index for the turn alone.
create function pgqueue._in_ready(job bigint)
returns table (place tid, job_id bigint, queue text, priority smallint, attempt smallint, traits integer, seq bigint)
language sql stable
as $$
  select r.ctid, r.job_id, r.queue::text, r.priority, r.attempt, r.traits, r.seq
  from pgqueue.job j
  cross join lateral (
    select r.ctid, r.* from pgqueue.ready r where r.queue = j.queue and r.priority = j.priority and r.seq = j.id offset 0) r
  where j.id = $1
  union all
  select r.ctid, r.job_id, r.queue::text, r.priority, r.attempt, r.traits, r.seq
  from pgqueue.ready r where r.job_id = $1 and r.seq <> r.job_id;
$$;
