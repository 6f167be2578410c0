-- The place of a waiting job, and the outcome of one that has ended, are locked first: no claim takes it, and no retry, before the edit is committed.
create function pgqueue.edit_job(id bigint, args jsonb default null, headers jsonb default null)
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
  v_was jsonb;
  v_kind text;
  v_standing text;
begin
  if num_nonnulls(args, headers) = 0 then
    perform pgqueue._refuse('PQ001', 'neither args nor headers are given', 'Give what is to be changed.');
  end if;
  if jsonb_typeof(args) <> 'object' or jsonb_typeof(headers) <> 'object' then
    perform pgqueue._refuse('PQ001', format('%s is %s, not an object', case when jsonb_typeof(args) <> 'object' then 'args' else 'headers' end,
      case when jsonb_typeof(args) <> 'object' then jsonb_typeof(args) else jsonb_typeof(headers) end), 'Give an object: the whole of it, as it is to be.');
  end if;
  v_kind := (select j.kind from pgqueue.job j where j.id = edit_job.id);
  if v_kind in ('sql.script', 'sql.query', 'rows.slice', 'rows.slow', 'rows.gate', 'keyed.item') then
    perform pgqueue._refuse('PQ005', format('job %s is of kind %s', id, v_kind), 'Only tasks can be edited: cancel it, and hand in a new one.');
  end if;
  for v_look in 1..100 loop
    if pgqueue._hold_place(edit_job.id) is not null then
      state := pgqueue._state(edit_job.id);
    else
      select o.state::text into state from pgqueue.outcome o where o.job_id = edit_job.id and o.state <> 'succeeded' for update;
    end if;
    exit when state is not null;
    v_standing := pgqueue._state(edit_job.id);
    if v_standing in ('running', 'succeeded') then
      perform pgqueue._refuse('PQ005', format('job %s is %s', id, v_standing), 'Only a job that waits, failed or was cancelled can be edited: enqueue a new one.');
    end if;
  end loop;
  if state is null then
    perform pgqueue._refuse('PQ005', format('job %s keeps moving', id), 'Try again.');
  end if;
  select * into v_job from pgqueue.job j where j.id = edit_job.id;
  changed := coalesce(args, v_job.args) is distinct from v_job.args or coalesce(headers, v_job.headers) is distinct from v_job.headers;
  if changed then
    v_was := case when edit_job.args is not null then jsonb_build_object('args', v_job.args) else '{}' end
      || case when edit_job.headers is not null then jsonb_build_object('headers', v_job.headers) else '{}' end;
    update pgqueue.job j set args = coalesce(edit_job.args, j.args), headers = coalesce(edit_job.headers, j.headers) where j.id = edit_job.id;
    perform pgqueue._note_event(edit_job.id, 'edited', v_was);
  end if;
  return next;
end $$;

comment on function pgqueue.edit_job is
'Gives a job that waits, has failed or was cancelled other arguments or headers: whole objects, null leaves what there is. What was there before is kept as an event of the job. It stays where it is, keeps its turn and its unique key, also one that was
made of its arguments. To run a failed one again, retry it. changed: whether they differ. Errors: PQ001, PQ002, PQ005 when it is running or has succeeded, or is no task.';
