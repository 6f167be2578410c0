create function pgqueue.run_schedule(name text)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_schedule pgqueue.schedule;
  v_job bigint;
begin
  select s.* into v_schedule from pgqueue.schedule s where s.name = run_schedule.name for update;
  if not found then
    perform pgqueue._unknown_schedule(name);
  end if;
  v_job := pgqueue._enqueue_tick(v_schedule, v_now);
  update pgqueue.schedule s set last_run = v_now, last_job = v_job where s.name = run_schedule.name;
  return v_job;
end $$;

comment on function pgqueue.run_schedule is
'Enqueues the job of a schedule now, out of turn, paused or not, and returns its id; with a unique_key that is taken, the id of the job that has it. Its tick is now; the ticks to come
stay as they are. Errors: PQ002 unknown schedule, PQ001, PQ005 the key is held and on_duplicate is raise.';
