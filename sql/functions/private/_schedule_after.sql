-- The tick a schedule owes next after a moment, within its own time. Null: none.
create function pgqueue._schedule_after(schedule pgqueue.schedule, after timestamptz) returns timestamptz
language plpgsql
as $$
declare
  v_tick timestamptz := pgqueue._next_tick(schedule.cron, schedule.time_zone,
    greatest(after, schedule.starts_at - interval '1 microsecond'), schedule.starts_at);
begin
  return case when v_tick > schedule.ends_at then null else v_tick end;
end $$;
