-- Ends a script where it is, as cancelled or failed: the unit that was next or ran gets that status, the rest will be skipped, no fallback runs. Once the script's own
-- fallback is due its status is final, and only that fallback's changes.
create function pgqueue._stop_script(script pgqueue.script, state text, reason text) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
begin
  if script.part = 0 then
    insert into pgqueue.script_query (job_id, position, status, ended_at, failed_reason)
    values (script.job_id, script.position, state, v_now, reason)
    on conflict (job_id, position) do update set status = excluded.status, ended_at = v_now, failed_reason = excluded.failed_reason;
  elsif script.part < 3 then
    update pgqueue.script_query q set fallback_status = state, fallback_error = reason
    where q.job_id = script.job_id and q.position = script.position;
  end if;
  update pgqueue.script s
  set status = case when s.part < 3 then state else s.status end,
    failed_reason = case when s.part < 3 then case when state = 'failed' then coalesce(s.failed_reason, reason) end else s.failed_reason end,
    fallback_status = case when s.part = 3 then state when s.fallback_status is not null then 'skipped' end,
    fallback_error = case when s.part = 3 then reason else s.fallback_error end,
    part = 4, updated_at = v_now, ended_at = v_now
  where s.job_id = script.job_id;
end $$;
