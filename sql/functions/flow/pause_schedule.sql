create function pgqueue.pause_schedule(name text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update pgqueue.schedule s set paused_at = pgqueue._now(), next_run = null, due_at = null, updated_at = pgqueue._now()
  where s.name = pause_schedule.name and s.paused_at is null;
  if found then
    return true;
  end if;
  if not exists (select from pgqueue.schedule s where s.name = pause_schedule.name) then
    perform pgqueue._unknown_schedule(name);
  end if;
  return false;
end $$;

comment on function pgqueue.pause_schedule is
'Stops a schedule until resume_schedule, through restarts and changes of its declaration. Returns whether that changed anything. Errors: PQ001, PQ002 unknown schedule.';
