-- A run that starts anew throws away what the one before had stored.
create function pgqueue.query_begin(lease bigint, job bigint, backend_pid integer, backend_start timestamptz)
returns table (
  sql text,
  param_count integer,
  timeout interval,
  batch_rows integer,
  max_rows bigint,
  max_bytes bigint,
  run integer,
  verdict text,
  old_datasource text,
  old_pid integer,
  old_backend_start timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_query pgqueue.query;
begin
  perform pgqueue._hold_lease(lease, job);
  select * into v_query from pgqueue.query q where q.job_id = query_begin.job;
  if not found then
    perform pgqueue._refuse('PQ002', format('job %s is not a query', job), 'Only submit_query makes jobs of this kind.');
  end if;
  if exists (select from pgqueue.cancel_request c where c.job_id = query_begin.job) then
    verdict := 'cancelled';
    return next;
    return;
  end if;
  select n.old_pid, n.old_backend_start into old_pid, old_backend_start from pgqueue._note_backend(job, backend_pid, backend_start) n;
  old_datasource := v_query.datasource;
  insert into pgqueue.query_run as r (job_id, run, started_at, updated_at) values (query_begin.job, 1, v_now, v_now)
  on conflict (job_id) do update
  set run = r.run + 1, batches = 0, kept = false, row_count = 0, byte_count = 0, started_at = v_now, updated_at = v_now, ended_at = null, expires_at = null, forget_at = null, outcome = null,
    reason = null, command = null, columns = null, error = null, notices = null
  returning r.run into run;
  if run > 1 then
    delete from pgqueue.query_chunk c where c.job_id = query_begin.job;
  end if;
  sql := v_query.sql;
  param_count := coalesce(jsonb_array_length(v_query.params), 0);
  timeout := least(v_query.timeout, pgqueue._sql_limit(v_query.queue, v_query.owner));
  batch_rows := v_query.batch_rows;
  select coalesce(v_query.max_rows, c.result_max_rows), coalesce(v_query.max_bytes, c.result_max_bytes) into max_rows, max_bytes from pgqueue.config c;
  return next;
end $$;

comment on function pgqueue.query_begin is
'For workers, once a query''s job is claimed and the session that is to run its SQL is open: what to run. Next prepare and describe the statement there, and call query_describe. timeout: how long it may run; batch_rows, max_rows, max_bytes: for
the chunks and the whole. verdict not null: nothing, settle the job with it. backend_pid, backend_start: of that session, null when none could be had and query_end is to say so. old_pid, old_backend_start: a server process of old_datasource that may still run
this job''s SQL; end it first. Errors: PQ004 the lease does not hold the job.';
