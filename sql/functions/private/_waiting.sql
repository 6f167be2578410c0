-- Where a job waits, by its id and the lane its row says: its state, and what the row of that place says; no row when it waits nowhere. Inlined, so that it sees what
-- its caller's statement sees: keep it one plain query.
create function pgqueue._waiting(job bigint, queue text, priority smallint)
returns table (state text, priority_now smallint, attempt smallint, run_at timestamptz)
language sql stable
as $$
  select 'queued', w.priority, w.attempt, null::timestamptz from pgqueue.ready w where w.queue = $2 and w.priority = $3 and w.seq = $1
  union all select 'queued', w.priority, w.attempt, null from pgqueue.ready w where w.job_id = $1 and w.seq <> w.job_id
  union all select 'scheduled', w.priority, w.attempt, w.run_at from pgqueue.scheduled w where w.job_id = $1
  union all select 'queued', w.priority, w.attempt, null from pgqueue.arrival w where w.job_id = $1
  union all select 'held', w.priority, w.attempt, null from pgqueue.blocked w where w.job_id = $1
  union all select 'queued', w.priority, w.attempt, null from pgqueue.suspect w where w.job_id = $1
  union all select 'queued', w.priority, w.attempt, null from pgqueue.line w where w.job_id = $1
  union all select 'held', w.priority, w.attempt, null from pgqueue.held w where w.job_id = $1
  union all select 'held', w.priority, w.attempt, w.run_at from pgqueue.dependent w where w.job_id = $1;
$$;
