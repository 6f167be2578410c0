create function pgqueue.attempts(id bigint)
returns table (attempt integer, failed_at timestamptz, worker_id bigint, reason text, error jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  perform pgqueue._state(attempts.id);
  return query
  select e.attempt::integer, e.failed_at, e.worker_id, e.reason, e.error
  from pgqueue.attempt_error e where e.job_id = attempts.id order by e.failed_at;
end $$;

comment on function pgqueue.attempts is
'The attempts of a job that went wrong, in order: when, on which worker, and the error with its type, message and traceback. reason: error, timeout or
worker_lost (a crash, which does not spend the attempt). Errors: PQ002.';
