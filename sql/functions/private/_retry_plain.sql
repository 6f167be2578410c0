-- Of these jobs, runs those again for which nothing is to be asked one by one: no unique key that may be taken, no parents that may live again, no slot that is theirs still, and of no kind that has
-- rules of its own. All at once, so that a redrive of thousands costs as little as their enqueue. The rest is as in retry and reschedule. Returns those that it did, in the order of their times; outcomes that
-- another session has locked are passed over.
create function pgqueue._retry_plain(
  jobs bigint[],
  starts_at timestamptz,
  rate_limit integer,
  rate_period interval) returns bigint[]
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_low bigint;
  v_high bigint;
  v_done bigint[];
  v_part record;
begin
  select min(i), max(i) into v_low, v_high from unnest(jobs) i;
  v_done := array(
    select o.job_id from pgqueue.outcome o
    where o.job_id between v_low and v_high and o.state <> 'succeeded' and o.job_id = any(array(
        select j.id from pgqueue.job j
        where j.id between v_low and v_high and j.id = any(jobs) and j.unique_key is null and j.depends_on is null
          and j.kind not in ('sql.script', 'sql.query', 'rows.slice', 'rows.slow', 'keyed.item')
          and (select s.job_id from pgqueue.slot s where s.job_id = j.id) is null))
    order by o.job_id for update skip locked);
  if cardinality(v_done) = 0 then
    return v_done;
  end if;
  with gone as (
    delete from pgqueue.outcome o
    where o.job_id between v_low and v_high and o.job_id = any(v_done) and o.state <> 'succeeded'
    returning o.job_id, o.state, o.reason, o.attempt, o.finished_at)
  insert into pgqueue.job_event (job_id, at, event, data)
  select g.job_id, v_now, 'retried', jsonb_build_object('state', g.state, 'reason', g.reason, 'attempt', g.attempt, 'finished_at', g.finished_at) from gone g;
  delete from pgqueue.cancel_request c where c.job_id = any(v_done);

  for v_part in
    with due as materialized (
      select e.id, greatest(starts_at + coalesce((extract(epoch from rate_period) * (e.ord - 1) / rate_limit)::float8, 0) * interval '1 second', v_now) as at
      from unnest(v_done) with ordinality e(id, ord)),
    again as materialized (
      select j.id, j.queue, j.priority, d.at,
        pgqueue._traits(null, j.group_key, j.timeout, j.heartbeat, null)
          + case when (select d.parent_id from pgqueue.dependency d where d.parent_id = j.id order by d.parent_id, d.child_id limit 1) is not null then 4096 else 0 end
          + case when (select f.job_id from pgqueue.follow_up f where f.job_id = j.id order by f.job_id, f.outcome limit 1) is not null then 8192 else 0 end as traits
      from (select j.* from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_done)) j join due d on d.id = j.id)
    select a.at > v_now as later, array_agg(a.id order by a.id) as jobs, array_agg(a.queue order by a.id) as queues, array_agg(a.priority order by a.id) as priorities,
      array_agg(0::smallint) as attempts, array_agg(a.traits order by a.id) as traits, array_agg(a.at order by a.id) as due
    from again a group by a.at > v_now
  loop
    if v_part.later then
      perform pgqueue._schedule(v_part.jobs, v_part.queues, v_part.priorities, v_part.attempts, v_part.traits, v_part.due);
      insert into pgqueue.job_event (job_id, at, event, data)
      select e.id, v_now, 'rescheduled', jsonb_build_object('from', null, 'to', e.due) from unnest(v_part.jobs, v_part.due) e(id, due);
    else
      perform pgqueue._enter(v_part.jobs, v_part.queues, v_part.priorities, v_part.attempts, v_part.traits, false);
    end if;
  end loop;
  return v_done;
end $$;
