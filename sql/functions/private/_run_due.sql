-- Enqueues what a locked schedule owes by now and moves its next tick on, in one transaction: that is why there is one job a tick, whoever runs upkeep and how
-- often. Ticks less than a minute late are on time and get a job each. What is later was missed, and goes by the schedule's policy. At most a hundred ticks; what is
-- left is due at once, in the next pass. A tick whose key is held, where that is to be told, is passed over: it has nothing to wait for, and the error is that of the last tick.
create function pgqueue._run_due(schedule pgqueue.schedule) returns bigint
language plpgsql
as $$
declare
  c_punctual constant interval := interval '1 minute';
  v_now timestamptz := pgqueue._now();
  v_tick timestamptz := schedule.next_run;
  v_last_run timestamptz := schedule.last_run;
  v_last_job bigint := schedule.last_job;
  v_once boolean := v_now - v_tick >= c_punctual and schedule.missed = 'one';
  v_made record;
  v_error text;
  v_done bigint := 0;
begin
  if v_now - v_tick >= c_punctual and schedule.missed = 'skip' then
    v_tick := pgqueue._schedule_after(schedule, v_now - c_punctual);
  end if;
  for v_nth in 1..100 loop
    exit when v_tick is null or v_tick > v_now;
    select * into v_made from pgqueue._try_tick(schedule, v_tick);
    v_error := v_made.problem;
    if v_made.job is not null then
      v_last_job := v_made.job;
      v_last_run := v_tick;
      v_done := v_done + 1;
    end if;
    v_tick := pgqueue._schedule_after(schedule, case when v_once then v_now else v_tick end);
  end loop;
  update pgqueue.schedule s set next_run = v_tick, due_at = v_tick, last_run = v_last_run, last_job = v_last_job, last_error = v_error
  where s.name = schedule.name;
  return v_done;
end $$;
