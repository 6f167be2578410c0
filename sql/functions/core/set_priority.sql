create function pgqueue.set_priority(id bigint, priority integer)
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
  v_due timestamptz;
begin
  perform pgqueue._check_priority(priority);
  select s.run_at into v_due from pgqueue.scheduled s where s.job_id = set_priority.id;
  select * into v_was from pgqueue._withdraw_or_refuse(id);
  insert into pgqueue.changed_priority (job_id, priority) values (set_priority.id, set_priority.priority)
  on conflict (job_id) do update set priority = excluded.priority;
  if v_was.place = 'scheduled' then
    perform pgqueue._schedule(array[id], array[v_was.queue], array[set_priority.priority::smallint], array[v_was.attempt],
      array[v_was.traits | 64], array[v_due]);
  else
    perform pgqueue._enter(array[id], array[v_was.queue], array[set_priority.priority::smallint], array[v_was.attempt],
      array[v_was.traits | 64], v_was.place in ('ready', 'suspect'));
  end if;
  perform pgqueue._note_event(set_priority.id, 'priority changed', jsonb_build_object('priority', set_priority.priority, 'was', v_was.priority));
  return query select case when v_was.place = 'scheduled' then 'scheduled' else 'queued' end, v_was.priority <> set_priority.priority;
end $$;

comment on function pgqueue.set_priority is
'Gives a waiting job another priority; it goes to the end of those that have it. Errors: PQ001, PQ002, PQ005 when it is running or final.';
