create function pgqueue.resume_schedule(name text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_schedule pgqueue.schedule;
  v_next timestamptz;
begin
  select s.* into v_schedule from pgqueue.schedule s where s.name = resume_schedule.name for update;
  if not found then
    perform pgqueue._unknown_schedule(name);
  end if;
  if v_schedule.paused_at is null then
    return false;
  end if;
  v_next := pgqueue._schedule_after(v_schedule, pgqueue._now());
  update pgqueue.schedule s set paused_at = null, next_run = v_next, due_at = v_next, updated_at = pgqueue._now()
  where s.name = resume_schedule.name;
  return true;
end $$;

comment on function pgqueue.resume_schedule is
'Ends a pause; the next tick from now on is the first, those of the pause were not missed. Returns whether that changed anything. Errors: PQ001, PQ002 unknown schedule.';
