create function pgqueue.result(id bigint)
returns table (state text, reason text, result jsonb, error jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  -- The state first: a job settled between two looks at its outcome would come without its result.
  state := pgqueue._state(result.id);
  if state in ('succeeded', 'failed', 'cancelled') then
    select o.state::text, o.reason, o.result into state, reason, result
    from pgqueue.outcome o where o.job_id = result.id;
  end if;
  if state in ('failed', 'cancelled') then
    error := (select e.error from pgqueue.attempt_error e where e.job_id = result.id order by e.failed_at desc limit 1);
  end if;
  return next;
end $$;

comment on function pgqueue.result is
'The state of a job, and when it is final its reason, result and last error. Errors: PQ002 unknown job, or one whose queue keeps no history.';
