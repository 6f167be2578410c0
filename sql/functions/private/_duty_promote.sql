-- Upkeep: scheduled jobs whose time has come. A job that was scheduled late for an earlier time is found by the cursor's sweep.
create function pgqueue._duty_promote() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_jobs bigint[];
  v_queues text[];
  v_priorities smallint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  select * into v_cursor from pgqueue._due_cursor('due');
  v_picked := array(
    select s.ctid from pgqueue.scheduled s
    where s.run_at <= v_now and s.run_at >= v_cursor.floor order by s.run_at limit 5000 for update skip locked);
  select s.run_at into v_first from pgqueue.scheduled s where s.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('due', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  with due as (
    delete from pgqueue.scheduled s where s.ctid = any(v_picked)
    returning s.run_at, s.job_id, s.queue, s.priority, s.attempt, s.traits)
  select array_agg(d.job_id), array_agg(d.queue), array_agg(d.priority), array_agg(d.attempt), array_agg(d.traits)
  into v_jobs, v_queues, v_priorities, v_attempts, v_traits
  from (select * from due order by run_at, job_id) d;
  perform pgqueue._enter(v_jobs, v_queues, v_priorities, v_attempts, v_traits, false);
  return coalesce(cardinality(v_jobs), 0);
end $$;
