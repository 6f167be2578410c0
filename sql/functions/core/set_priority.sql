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
  update pgqueue.dependent d set priority = set_priority.priority, traits = d.traits | 64
  where d.job_id = set_priority.id and d.traits & 512 = 0
  returning (
    select coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = j.id), j.priority) from pgqueue.job j where j.id = d.job_id) as priority
  into v_was;
  if found then
    insert into pgqueue.changed_priority (job_id, priority) values (set_priority.id, set_priority.priority)
    on conflict (job_id) do update set priority = excluded.priority;
    if v_was.priority <> set_priority.priority then
      perform pgqueue._note_event(id, 'priority changed', jsonb_build_object('from', v_was.priority, 'to', set_priority.priority));
    end if;
    return query select 'held', v_was.priority <> set_priority.priority;
    return;
  end if;
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
  if v_was.priority <> set_priority.priority then
    perform pgqueue._note_event(id, 'priority changed', jsonb_build_object('from', v_was.priority, 'to', set_priority.priority));
  end if;
  return query select case when v_was.place = 'scheduled' then 'scheduled' else 'queued' end, v_was.priority <> set_priority.priority;
end $$;

comment on function pgqueue.set_priority is
'Gives a waiting job another priority; it goes to the end of those that have it. Errors: PQ001, PQ002, PQ005 when it is running or final.';
