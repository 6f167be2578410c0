create function pgqueue.retry(id bigint)
returns table (state text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_job pgqueue.job;
  v_state text;
  v_was jsonb;
  v_holder bigint;
begin
  select * into v_job from pgqueue.job j where j.id = retry.id;
  -- The outcome row is the lock: two retries at once find it gone.
  delete from pgqueue.outcome o where o.job_id = retry.id and o.state <> 'succeeded' 
  returning o.state::text, jsonb_build_object('state', o.state, 'reason', o.reason, 'attempt', o.attempt, 'finished_at', o.finished_at) into v_state, v_was;
  if not found then
    v_state := pgqueue._standing(retry.id);
    perform pgqueue._refuse('PQ005', format('job %s is %s', id, coalesce(v_state, 'waiting to run')),
      case when v_state = 'succeeded' then 'Only failed and cancelled jobs can be retried; enqueue a new one.' else 'It will run anyway.' end);
  end if;
  if v_job.unique_key is not null and v_job.unique_until is distinct from 'period' then
    v_holder := pgqueue._take_key(v_job.queue, v_job.unique_key, v_job.id);
    if v_holder <> id then
      perform pgqueue._refuse('PQ005', format('job %s holds the unique key of job %s', v_holder, id), 'Cancel that job first, or leave it to do the work.');
    end if;
  end if;
  if v_job.kind = 'sql.script' then
    perform pgqueue._refuse('PQ005', format('job %s is a script', id), 'A script runs once: submit it again.');
  end if;
  if v_job.kind in ('rows.slice', 'rows.slow', 'rows.gate') then
    perform pgqueue._refuse('PQ005', format('job %s %s a batch', id, case v_job.kind when 'rows.gate' then 'stood for' else 'carried rows of' end), 'What became of them is recorded: submit them again.');
  end if;
  if v_job.kind = 'keyed.item' then
    perform pgqueue._refuse('PQ005', format('job %s was an item of a keyed queue', id), 'What it asked for is gone: add its key again.');
  end if;
  delete from pgqueue.cancel_request c where c.job_id = retry.id;
  if v_job.kind = 'sql.query' then
    update pgqueue.query_run r set outcome = null, reason = null, error = null, ended_at = null, expires_at = null, forget_at = null, updated_at = pgqueue._now()
    where r.job_id = retry.id;
    if not found then
      perform pgqueue._refuse('PQ005', format('the text of query %s is forgotten', id), 'It is past log_retention: submit it again.');
    end if;
  end if;
  perform pgqueue._note_event(retry.id, 'retried', v_was);
  if v_job.depends_on is not null and pgqueue._hold_again(v_job) then
    return query select 'held', true;
    return;
  end if;
  perform pgqueue._enter(array[v_job.id], array[v_job.queue], array[v_job.priority], array[0]::smallint[],
    array[pgqueue._traits(case when v_job.unique_until is null then v_job.unique_key end, v_job.group_key, v_job.timeout, v_job.heartbeat, null)
      + case when v_job.unique_until = 'start' then 2048 else 0 end + case when v_job.kind = 'sql.query' then 128 else 0 end + pgqueue._flow_traits(v_job.id)
      + case when exists (select from pgqueue.slot s where s.job_id = retry.id) then 32768 else 0 end], false);
  return query select 'queued', true;
end $$;

comment on function pgqueue.retry is
'Runs a failed or cancelled job again, with all its attempts; the errors of the earlier ones stay. Its queue timeout no longer counts. It waits for
those of its parents that live again, and its follow-ups are enqueued again when it ends. Errors: PQ002 unknown
job, PQ005 when it is live or has succeeded, when another live job has its unique key, or when it is a script, of a batch, a keyed item, or a query past log_retention.';
