create function pgqueue.result(id bigint)
returns table (state text, reason text, result jsonb, error jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_outcome record;
begin
  -- The state first: a job settled between two looks at its outcome would come without its result.
  state := pgqueue._state(result.id, true);
  if state in ('succeeded', 'failed', 'cancelled') then
    select o.state::text, o.reason, o.result into v_outcome
    from pgqueue.outcome o where o.job_id = result.id;
    if found then
      state := v_outcome.state;
      reason := v_outcome.reason;
      result := v_outcome.result;
    elsif exists (select from pgqueue.batch b where b.id = result.id) then
      select r.reason, r.result, r.error into reason, result, error from pgqueue._batch_result(result.id) r;
      return next;
      return;
    else
      state := pgqueue._state(result.id);  -- retried just now
    end if;
  end if;
  if state in ('failed', 'cancelled') then
    error := (select e.error from pgqueue.attempt_error e where e.job_id = result.id and e.reason <> 'follow_up' order by e.failed_at desc limit 1);
  end if;
  return next;
end $$;

comment on function pgqueue.result is
'The state of a job, and when it is final its reason, result and last error. Of a batch: held, queued, running, succeeded, failed (reason error) or cancelled (reason aborted, or parent_failed); its
result is {"succeeded", "failed", "aborted"}, how many rows. Of a slow query the same, its result what its processor gave. Errors: PQ002 unknown job, or one whose queue keeps no
history.';
