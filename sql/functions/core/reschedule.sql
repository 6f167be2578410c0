create function pgqueue.reschedule(id bigint, run_at timestamptz)
returns table (state text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_was record;
  v_now timestamptz := pgqueue._now();
  v_due timestamptz;
begin
  if run_at is null then
    perform pgqueue._refuse('PQ001', 'run_at is null', 'Give a time; one that has passed means at once.');
  end if;
  perform pgqueue._check_time('run_at', run_at);
  update pgqueue.dependent d set run_at = case when reschedule.run_at > v_now then reschedule.run_at end where d.job_id = reschedule.id and d.traits & 512 = 0;
  if found then
    perform pgqueue._note_event(id, 'rescheduled', jsonb_build_object('from', null, 'to', reschedule.run_at));
    return query select 'held', true;
    return;
  end if;
  select s.run_at into v_due from pgqueue.scheduled s where s.job_id = reschedule.id;
  select * into v_was from pgqueue._withdraw_or_refuse(id);
  if v_was.traits & 2049 <> 0 and pgqueue._retake_key(id) is not null then
    perform pgqueue._refuse('PQ005', format('another job is about to take the unique key of job %s', id), 'Try again: within a second or two it is decided which of them stays.');
  end if;
  if run_at > v_now then
    perform pgqueue._schedule(array[id], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], array[run_at]);
  else
    perform pgqueue._enter(array[id], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits],
      v_was.place in ('ready', 'suspect'));
  end if;
  perform pgqueue._note_event(id, 'rescheduled', jsonb_build_object('from', case when v_was.place = 'scheduled' then v_due end, 'to', reschedule.run_at));
  return query select case when run_at > v_now then 'scheduled' else 'queued' end, true;
end $$;

comment on function pgqueue.reschedule is
'Moves a waiting job to another time, or to now when that time has passed. One that waits for other jobs goes on waiting, and runs not before that time. Errors: PQ001, PQ002, PQ005 when it is running or final.';
