-- Enqueues what a locked schedule owes by now and moves its next tick on, in one transaction: that is why there is one job a tick, whoever runs upkeep and how
-- often. Ticks less than a minute late are on time and get a job each. What is later was missed, and goes by the schedule's policy. At most a hundred jobs; what is
-- left is due at once, in the next pass.
create function pgqueue._run_due(schedule pgqueue.schedule) returns bigint
language plpgsql
as $$
declare
  c_punctual constant interval := interval '1 minute';
  v_now timestamptz := pgqueue._now();
  v_tick timestamptz := schedule.next_run;
  v_last_run timestamptz := schedule.last_run;
  v_last_job bigint := schedule.last_job;
  v_done bigint := 0;
begin
  if v_now - v_tick >= c_punctual and schedule.missed = 'one' then
    v_last_job := pgqueue._enqueue_tick(schedule, v_tick);
    v_last_run := v_tick;
    v_done := 1;
    v_tick := pgqueue._schedule_after(schedule, v_now);
  elsif v_now - v_tick >= c_punctual and schedule.missed = 'skip' then
    v_tick := pgqueue._schedule_after(schedule, v_now - c_punctual);
  end if;
  while v_tick <= v_now and v_done < 100 loop
    v_last_job := pgqueue._enqueue_tick(schedule, v_tick);
    v_last_run := v_tick;
    v_done := v_done + 1;
    v_tick := pgqueue._schedule_after(schedule, v_tick);
  end loop;
  update pgqueue.schedule s set next_run = v_tick, due_at = v_tick, last_run = v_last_run, last_job = v_last_job, last_error = null
  where s.name = schedule.name;
  return v_done;
end $$;
