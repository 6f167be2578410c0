-- The state of a job that is not final, read with the caller's snapshot; null when it waits nowhere. Inlined: keep it one expression.
create function pgqueue._state_if_any(job bigint) returns text
language sql stable
as $$
  select (select w.state from pgqueue.job j cross join lateral pgqueue._waiting(j.id, j.queue, j.priority) w where j.id = $1);
$$;
