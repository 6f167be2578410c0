-- The final transition of a query, for the audit trail, and for when its result and the trail itself expire. A query that failed or was cancelled has no result to keep.
create function pgqueue._query_ended(job bigint, state text, reason text) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_ttl interval;
  v_log interval;
  v_error jsonb;
begin
  select coalesce(q.ttl, c.result_ttl), c.log_retention into v_ttl, v_log
  from pgqueue.config c left join pgqueue.query q on q.job_id = job;
  if state = 'failed' then
    v_error := (select e.error from pgqueue.attempt_error e where e.job_id = _query_ended.job order by e.failed_at desc limit 1);
  end if;
  v_ttl := case when state = 'succeeded' then v_ttl else interval '0' end;
  insert into pgqueue.query_run as r (job_id, run, updated_at, ended_at, expires_at, forget_at, outcome, reason, error)
  values (job, 0, v_now, v_now, v_now + v_ttl, v_now + v_log, state::pgqueue.final_state, _query_ended.reason, v_error)
  on conflict (job_id) do update
  set updated_at = v_now, ended_at = coalesce(r.ended_at, v_now), expires_at = excluded.expires_at, forget_at = excluded.forget_at, outcome = excluded.outcome,
    error = coalesce(r.error, excluded.error),
    reason = case when r.error ->> 'type' in ('Timeout', 'ResultTooLarge') and state = 'failed'
      then case r.error ->> 'type' when 'Timeout' then 'timeout' else 'result_too_large' end else excluded.reason end;
end $$;
