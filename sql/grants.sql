-- Who may call what, as data. Nobody may touch a table or a private function; the audit trail is a view. Each role may do what is in its line and reads what readers read.
do $$
declare
  v_grants constant jsonb := '{
    "producer": ["parents", "children", "group_status", "enqueue", "enqueue_each", "enqueue_many", "result", "watch", "unwatch", "wait", "cancel", "version",
      "submit_script", "script_report", "scripts", "cancel_script",
      "submit_query", "query_status", "query_columns", "query_batch", "cancel_query",
      "batch_submit", "batch_submit_each", "batch_append", "batch_append_each", "batch_release", "batch_status", "batch_rows", "batch_abort", "batch_list",
      "slow_query_submit", "slow_query_status", "slow_query_abort", "output_file",
      "keyed_add", "keyed_get", "keyed_cancel", "keyed_extend", "keyed_result", "keyed_result_by_id", "keyed_state", "keyed_wait", "keyed_list", "keyed_keys", "keyed_pending", "keyed_active", "keyed_stage", "next_number"],
    "worker": ["parents", "children", "group_status", "register_worker", "worker_heartbeat", "deregister_worker", "claim", "settle", "settle_and_claim", "job_heartbeat",
      "worker_sleep", "worker_wake", "try_lead", "stop_leading", "maintain", "next_due", "version", "sync_schedules",
      "script_begin", "script_end", "query_begin", "query_describe", "query_put", "query_end",
      "batch_context", "batch_submit", "batch_submit_each", "batch_append", "batch_append_each", "batch_release", "batch_status", "batch_rows", "batch_abort", "batch_list",
      "slow_query_submit", "slow_query_status", "slow_query_abort", "output_file",
      "submit_script", "script_report", "scripts", "cancel_script", "scripts_running",
      "submit_query", "query_status", "query_columns", "query_batch", "cancel_query",
      "enqueue", "enqueue_each", "enqueue_many", "result", "watch", "unwatch", "wait", "cancel",
      "keyed_add", "keyed_get", "keyed_cancel", "keyed_extend", "keyed_result", "keyed_result_by_id", "keyed_state", "keyed_wait", "keyed_list", "keyed_keys", "keyed_pending", "keyed_active", "keyed_stage", "next_number",
      "keyed_add_and_claim", "keyed_claim", "keyed_claim_next", "keyed_heartbeat", "keyed_merge_extra", "keyed_ack", "keyed_stalled", "keyed_orphaned", "keyed_to_cancel", "keyed_reap"],
    "operator": ["parents", "children", "group_status", "schedule", "unschedule", "pause_schedule", "resume_schedule", "run_schedule", "schedules", "next_runs", "sync_schedules",
      "cancel_jobs", "retry_jobs", "set_priority_of_jobs", "move_jobs", "delete_jobs", "count_jobs", "edit_job", "failures",
      "cancel", "retry", "reschedule", "set_priority", "pause_queue", "resume_queue", "configure_queue", "configure", "maintain",
      "enqueue", "enqueue_each", "enqueue_many", "result", "watch", "unwatch", "wait", "next_due",
      "batch_submit", "batch_submit_each", "batch_append", "batch_append_each", "batch_release", "batch_status", "batch_rows", "batch_abort", "batch_list",
      "slow_query_submit", "slow_query_status", "slow_query_abort", "output_file", "batch_purge",
      "keyed_add", "keyed_get", "keyed_cancel", "keyed_extend", "keyed_result", "keyed_result_by_id", "keyed_state", "keyed_wait", "keyed_list", "keyed_keys", "keyed_pending", "keyed_active", "keyed_stage", "next_number",
      "keyed_add_and_claim", "keyed_claim", "keyed_claim_next", "keyed_heartbeat", "keyed_merge_extra", "keyed_ack", "keyed_stalled", "keyed_orphaned", "keyed_to_cancel", "keyed_reap", "keyed_truncate",
      "submit_script", "script_report", "scripts", "cancel_script", "scripts_running", "configure_owner",
      "submit_query", "query_status", "query_columns", "query_batch", "cancel_query",
      "job", "jobs", "attempts", "queues", "workers", "why", "health", "version"],
    "reader": ["count_jobs", "failures", "parents", "children", "group_status", "schedules", "next_runs", "batch_status", "batch_rows", "batch_list", "slow_query_status", "output_file", "script_report", "scripts", "scripts_running", "query_status", "query_columns", "query_batch",
      "job", "jobs", "attempts", "queues", "workers", "why", "health", "result", "version", "next_due",
      "keyed_keys", "keyed_pending", "keyed_active", "keyed_stalled", "keyed_orphaned", "keyed_to_cancel", "keyed_stage", "keyed_state"]}';
  v_routine regprocedure;
  v_role text;
  v_name text;
begin
  for v_routine in
    select p.oid::regprocedure from pg_catalog.pg_proc p where p.pronamespace = 'pgqueue'::regnamespace
  loop
    execute format('revoke all on routine %s from public', v_routine);
  end loop;
  for v_role, v_name in select e.key, f.name from jsonb_each(v_grants) e, jsonb_array_elements_text(e.value) f(name) loop
    if to_regrole('pgqueue_' || v_role) is not null then
      execute format('grant usage on schema pgqueue to %I', 'pgqueue_' || v_role);
      select p.oid::regprocedure into strict v_routine
      from pg_catalog.pg_proc p where p.pronamespace = 'pgqueue'::regnamespace and p.proname = v_name;
      execute format('grant execute on routine %s to %I', v_routine, 'pgqueue_' || v_role);
    end if;
  end loop;
  -- The one thing to read that is not a function.
  foreach v_role in array array['pgqueue_operator', 'pgqueue_reader'] loop
    if to_regrole(v_role) is not null then
      execute format('grant select on pgqueue.query_log to %I', v_role);
    end if;
  end loop;
end $$;
