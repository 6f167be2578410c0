-- Upkeep: schedules that are due. The row's lock and the move of its next tick make it one job a tick; a row that another pass, or an operator, has in hand is left
-- to the next pass. A schedule that fails keeps its tick, shows its error and is looked at again a little later; the others go on. So does one whose
-- unique key another transaction is just enqueueing: it is waited for only briefly.
create function pgqueue._duty_schedules() returns bigint
language plpgsql
set lock_timeout = '200ms'
as $$
declare
  c_again constant interval := interval '15 seconds';
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_first timestamptz;
  v_schedule pgqueue.schedule;
  v_error text;
  v_done bigint := 0;
begin
  select * into v_cursor from pgqueue._due_cursor('schedules');
  for v_schedule in
    select s.* from pgqueue.schedule s
    where s.due_at <= v_now and s.due_at >= v_cursor.floor order by s.due_at limit 500 for update skip locked
  loop
    v_first := coalesce(v_first, v_schedule.due_at);
    begin
      v_done := v_done + pgqueue._run_due(v_schedule);
    exception
      when others then
        get stacked diagnostics v_error = message_text;
        update pgqueue.schedule s set due_at = v_now + c_again, last_error = format('%s (%s)', v_error, sqlstate) where s.name = v_schedule.name;
    end;
  end loop;
  perform pgqueue._set_due_cursor('schedules', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  return v_done;
end $$;
