create function pgqueue.script_end(lease bigint, job bigint, error jsonb default null, notices jsonb default null)
returns table (verdict text, failure jsonb, result jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_message text := case when nullif(script_end.error, 'null') is not null then coalesce(script_end.error ->> 'message', 'unknown error') end;
  v_script pgqueue.script;
  v_query jsonb;
begin
  perform pgqueue._hold_lease(lease, job);
  select * into v_script from pgqueue.script s where s.job_id = script_end.job for update;
  delete from pgqueue.backend b where b.job_id = script_end.job;
  -- Only what was begun ends: a second call, because the answer to the first was lost, must not end what comes next.
  if v_script.part < 4 and 'running' = (case v_script.part
      when 3 then v_script.fallback_status
      when 0 then (select q.status from pgqueue.script_query q where q.job_id = script_end.job and q.position = v_script.position)
      else (select q.fallback_status from pgqueue.script_query q where q.job_id = script_end.job and q.position = v_script.position) end)
  then
    v_query := v_script.document -> 'queries' -> v_script.position;
    case v_script.part
      when 0 then
        v_script.part := case when v_message is null and v_query ? 'onsuccess' then 1 when v_message is not null and v_query ? 'onerror' then 2 else 0 end;
        update pgqueue.script_query q
        set status = case when v_message is null then 'succeeded' else 'failed' end, failed_reason = v_message, ended_at = v_now, notices = script_end.notices,
          fallback_status = case when v_script.part > 0 then 'queued' when v_query ?| array['onsuccess', 'onerror'] then 'skipped' end
        where q.job_id = script_end.job and q.position = v_script.position;
        v_script.failed_reason := v_message;
        v_script.status := 'queued';
        if v_script.part = 0 then
          v_script := pgqueue._script_next(v_script);
        end if;
      when 3 then
        v_script.fallback_status := case when v_message is null then 'succeeded' else 'failed' end;
        v_script.fallback_error := v_message;
        v_script.part := 4;
      else
        update pgqueue.script_query q
        set fallback_status = case when v_message is null then 'succeeded' else 'failed' end, fallback_error = v_message,
          notices = nullif(coalesce(q.notices, '[]') || coalesce(script_end.notices, '[]'), '[]')
        where q.job_id = script_end.job and q.position = v_script.position;
        v_script := pgqueue._script_next(v_script);
    end case;
    update pgqueue.script s
    set position = v_script.position, part = v_script.part, status = v_script.status, fallback_status = v_script.fallback_status,
      failed_reason = v_script.failed_reason, fallback_error = v_script.fallback_error, updated_at = v_now,
      ended_at = case when v_script.part = 4 then v_now end
    where s.job_id = script_end.job
    returning s.* into v_script;
  end if;
  if v_script.part < 4 then
    verdict := 'release';
  else
    select v.verdict, v.failure, v.result into verdict, failure, result from pgqueue._script_verdict(v_script) v;
  end if;
  return next;
end $$;

comment on function pgqueue.script_end is
'For workers: how the unit given by script_begin ended. error: null when it succeeded, else an object with "message" and, if known, "sqlstate". notices: an array of what the
server said. verdict: how to settle the job: release (the script goes on in its owner''s next turn), succeeded, discard (failed, with failure as its error) or cancelled; result: the result to settle it with. Calling it again
changes nothing. Errors: PQ004 the lease does
not hold the job: nothing was written.';
