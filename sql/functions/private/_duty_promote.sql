-- Upkeep: scheduled jobs whose time has come. Due rows leave dead entries at the head of their index as claims do, so the scan starts at this session's cursor,
-- in milliseconds; a job that was scheduled late for an earlier time is found by the sweep.
create function pgqueue._duty_promote() returns bigint
language plpgsql
set enable_seqscan = off
set jit = off
set enable_bitmapscan = off
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_start float8 := extract(epoch from clock_timestamp());
  v_cursor record;
  v_sweep boolean;
  v_floor timestamptz;
  v_picked tid[];
  v_first bigint;
  v_jobs bigint[];
  v_queues text[];
  v_priorities smallint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  select * into v_cursor from pgqueue._cursor('due', '', 0);
  v_sweep := v_start >= v_cursor.expires;
  v_floor := case when v_sweep then '-infinity' else to_timestamp((v_cursor.floor - 1000) / 1000.0) end;
  v_picked := array(
    select s.ctid from pgqueue.scheduled s
    where s.run_at <= v_now and s.run_at >= v_floor order by s.run_at limit 5000 for update skip locked);
  select (extract(epoch from s.run_at) * 1000)::bigint into v_first from pgqueue.scheduled s where s.ctid = v_picked[1];
  if v_first is not null or v_sweep then
    perform pgqueue._set_cursor('due', '', 0, coalesce(v_first, (extract(epoch from v_now) * 1000)::bigint),
      case when v_sweep then v_start end, v_cursor.expires);
  end if;
  with due as (
    delete from pgqueue.scheduled s where s.ctid = any(v_picked)
    returning s.run_at, s.job_id, s.queue, s.priority, s.attempt, s.traits)
  select array_agg(d.job_id), array_agg(d.queue), array_agg(d.priority), array_agg(d.attempt), array_agg(d.traits)
  into v_jobs, v_queues, v_priorities, v_attempts, v_traits
  from (select * from due order by run_at, job_id) d;
  perform pgqueue._enter(v_jobs, v_queues, v_priorities, v_attempts, v_traits, false);
  return coalesce(cardinality(v_jobs), 0);
end $$;
