create function pgqueue.script_begin(lease bigint, job bigint, backend_pid integer, backend_start timestamptz)
returns table (
  unit text,
  "position" integer,
  sql text,
  timeout interval,
  verdict text,
  failure jsonb,
  old_datasource text,
  old_pid integer,
  old_backend_start timestamptz,
  result jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_script pgqueue.script;
  v_query jsonb;
begin
  perform pgqueue._hold_lease(lease, job);
  select * into v_script from pgqueue.script s where s.job_id = script_begin.job for update;
  if not found then
    perform pgqueue._refuse('PQ002', format('job %s is not a script', job), 'Only submit_script makes jobs of this kind.');
  end if;
  if v_script.part = 4 then
    select v.verdict, v.failure, v.result into verdict, failure, result from pgqueue._script_verdict(v_script) v;
    return next;
    return;
  end if;

  select n.old_pid, n.old_backend_start into old_pid, old_backend_start from pgqueue._note_backend(job, backend_pid, backend_start) n;
  old_datasource := (select j.args ->> 'datasource' from pgqueue.job j where j.id = script_begin.job);
  position := v_script.position;
  v_query := v_script.document -> 'queries' -> v_script.position;
  timeout := pgqueue._sql_limit(v_script.queue, v_script.owner);
  case v_script.part
    when 0 then
      unit := 'query';
      sql := v_query ->> 'query';
      if jsonb_typeof(v_query -> 'timeout') = 'number' and (v_query ->> 'timeout')::numeric > 0 then
        timeout := least(timeout, make_interval(secs => least((v_query ->> 'timeout')::numeric / 1000, 3e9)::float8));
      end if;
      insert into pgqueue.script_query (job_id, position, status, started_at) values (script_begin.job, v_script.position, 'running', v_now)
      on conflict (job_id, position) do update set status = 'running', started_at = v_now;
    when 3 then
      unit := case v_script.status when 'succeeded' then 'final_onsuccess' else 'final_onerror' end;
      sql := pgqueue._render_sql(v_script.document ->> case v_script.status when 'succeeded' then 'onsuccess' else 'onerror' end, job, v_script.failed_reason);
    else
      unit := case v_script.part when 1 then 'onsuccess' else 'onerror' end;
      update pgqueue.script_query q set fallback_status = 'running' where q.job_id = script_begin.job and q.position = v_script.position;
      sql := pgqueue._render_sql(v_query ->> unit, job,
        (select q.failed_reason from pgqueue.script_query q where q.job_id = script_begin.job and q.position = v_script.position));
  end case;
  update pgqueue.script s
  set status = case when s.part < 3 then 'running' else s.status end, fallback_status = case when s.part = 3 then 'running' else s.fallback_status end,
    started_at = coalesce(s.started_at, v_now), updated_at = v_now
  where s.job_id = script_begin.job;
  return next;
end $$;

comment on function pgqueue.script_begin is
'For workers, once a script''s job is claimed and the session that is to run its SQL is open: what to run now. unit: query, onsuccess, onerror, or final_onsuccess, final_onerror (the fallbacks of the
whole script); sql: its text, with tags filled in; timeout: how long it may run. unit null: nothing, settle the job with verdict, result, and failure as its error. backend_pid,
backend_start: of that session, null when none could be had and script_end is to say so. old_pid, old_backend_start: a server process of old_datasource that may still run this job''s SQL; end it before you begin. Errors: PQ004 the lease does not hold the job.';
