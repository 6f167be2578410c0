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
  v_due bigint;
  v_stays integer[] := array[]::integer[];
  v_at integer;
  v_key text;
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

  v_due := coalesce(cardinality(v_jobs), 0);
  -- Those with a unique key may be here because it was uncertain who holds it.
  for v_at in select e.ord from unnest(v_traits) with ordinality e(traits, ord) where e.traits & 2049 <> 0 order by e.ord loop
    v_key := pgqueue._retake_key(v_jobs[v_at]);
    continue when v_key is null;
    if v_key = 'uncertain' then
      perform pgqueue._schedule(v_jobs[v_at:v_at], v_queues[v_at:v_at], v_priorities[v_at:v_at], v_attempts[v_at:v_at], v_traits[v_at:v_at],
        array[v_now + interval '1 second']);
    else
      perform pgqueue._finish(v_jobs[v_at:v_at], array['cancelled'], array[v_key], v_attempts[v_at:v_at], v_traits[v_at:v_at], null, null, null,
        pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_queues[v_at])));
    end if;
    v_stays := v_stays || v_at;
  end loop;
  if cardinality(v_stays) > 0 then
    select array_agg(e.id order by e.ord), array_agg(e.queue order by e.ord), array_agg(e.priority order by e.ord), array_agg(e.attempt order by e.ord),
      array_agg(e.traits order by e.ord)
    into v_jobs, v_queues, v_priorities, v_attempts, v_traits
    from unnest(v_jobs, v_queues, v_priorities, v_attempts, v_traits) with ordinality e(id, queue, priority, attempt, traits, ord)
    where e.ord not in (select s from unnest(v_stays) s);
  end if;
  perform pgqueue._enter(v_jobs, v_queues, v_priorities, v_attempts, v_traits, false);
  return v_due;
end $$;
