-- Creates a schedule or gives an existing one these settings. What it owes stays owed as long as its times stay: to change the arguments of a schedule must not lose
-- the tick that is due. A pause stays. The row is locked before it is read; upkeep skips it meanwhile.
create function pgqueue._put_schedule(schedule pgqueue.schedule, out change text, out next_run timestamptz)
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_new pgqueue.schedule := schedule;
  v_old pgqueue.schedule;
begin
  v_new.created_at := v_now;
  v_new.updated_at := v_now;
  v_new.next_run := pgqueue._schedule_after(v_new, v_now);
  v_new.due_at := v_new.next_run;
  loop
    insert into pgqueue.schedule select (v_new).* on conflict do nothing;
    if found then
      change := 'added';
      next_run := v_new.next_run;
      return;
    end if;
    select s.* into v_old from pgqueue.schedule s where s.name = v_new.name for update;
    exit when found;
    -- Removed between the two statements: the name is free again.
  end loop;

  if v_new.declared_by is not null and v_old.declared_by is distinct from v_new.declared_by then
    perform pgqueue._refuse('PQ005', format('schedule %L is not declared by %L but %s', v_new.name, v_new.declared_by,
      case when v_old.declared_by is null then 'was made by hand' else format('by %L', v_old.declared_by) end),
      'Give it another name, or remove the other with unschedule.');
  end if;

  v_new.paused_at := v_old.paused_at;
  v_new.created_at := v_old.created_at;
  v_new.last_run := v_old.last_run;
  v_new.last_job := v_old.last_job;
  -- Whoever edits what a program has declared does not take it away from the program.
  v_new.declared_by := coalesce(v_new.declared_by, v_old.declared_by);
  v_new.declared := coalesce(v_new.declared, v_old.declared);
  v_new.updated_at := v_old.updated_at;
  if (v_new.cron, v_new.time_zone, v_new.starts_at, v_new.ends_at) is not distinct from (v_old.cron, v_old.time_zone, v_old.starts_at, v_old.ends_at)
    and v_old.next_run is not null
  then
    v_new.next_run := v_old.next_run;
    v_new.due_at := greatest(v_old.next_run, v_now);  -- upkeep's cursor may be past the tick
  elsif v_new.paused_at is not null then
    v_new.next_run := null;
    v_new.due_at := null;
  end if;
  next_run := v_new.next_run;
  if to_jsonb(v_new) - '{due_at,last_error}'::text[] = to_jsonb(v_old) - '{due_at,last_error}'::text[] then
    change := 'unchanged';
    return;
  end if;
  update pgqueue.schedule s set
    cron = v_new.cron, time_zone = v_new.time_zone, kind = v_new.kind, args = v_new.args, queue = v_new.queue, missed = v_new.missed,
    priority = v_new.priority, unique_key = v_new.unique_key, group_key = v_new.group_key, max_attempts = v_new.max_attempts,
    timeout = v_new.timeout, expires_in = v_new.expires_in, heartbeat = v_new.heartbeat, backoff = v_new.backoff, headers = v_new.headers,
    unique_by = v_new.unique_by, unique_until = v_new.unique_until, unique_for = v_new.unique_for, on_duplicate = v_new.on_duplicate,
    on_success = v_new.on_success, on_error = v_new.on_error, starts_at = v_new.starts_at, ends_at = v_new.ends_at, next_run = v_new.next_run, due_at = v_new.due_at, last_error = null,
    declared_by = v_new.declared_by, declared = v_new.declared, updated_at = v_now
  where s.name = v_new.name;
  change := 'changed';
end $$;
