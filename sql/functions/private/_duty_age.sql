-- Upkeep: in queues with ageing, who has waited that long in a lower lane goes to the end of the highest that has jobs. The head of a lane is its oldest, so the walk ends at the first that has not waited long enough.
-- Turns and ids are drawn from one sequence: a job became ready before the first later job was enqueued, which is the latest time that it can have been. At most a thousand of a lane in one pass.
create function pgqueue._duty_age() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_lane record;
  v_queue text := '';
  v_highest smallint;
  v_start float8;
  v_cursor record;
  v_first bigint;
  v_old tid[];
  v_done bigint := 0;
  v_jobs bigint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  for v_lane in
    select q.name, q.ageing, l.priority
    from (select q.name, q.ageing from pgqueue.queue q where q.ageing is not null and q.paused_at is null offset 0) q
    cross join lateral (select distinct l.priority from pgqueue.lane l where l.queue = q.name) l
    order by q.name, l.priority desc
  loop
    if v_lane.name <> v_queue then
      v_queue := v_lane.name;
      v_highest := null;
    end if;
    v_start := date_part('epoch', clock_timestamp());
    select * into v_cursor from pgqueue._cursor('ready', v_queue, v_lane.priority);
    if v_start >= v_cursor.expires then
      v_cursor.floor := 0;
    end if;
    v_first := (
      select r.seq from pgqueue.ready r
      where r.queue = v_queue and r.priority = v_lane.priority and r.seq >= v_cursor.floor order by r.seq limit 1);
    perform pgqueue._set_cursor('ready', v_queue, v_lane.priority, v_first, case when v_start >= v_cursor.expires then v_start end, v_cursor.expires);
    continue when v_first is null;
    if v_highest is null then
      v_highest := v_lane.priority;
      continue;
    end if;
    v_old := array(
      select r.ctid from pgqueue.ready r
      where r.queue = v_queue and r.priority = v_lane.priority and r.seq between v_first and pgqueue._turn_before(v_now - v_lane.ageing, v_first)
      order by r.seq limit 1000 for update skip locked);
    continue when cardinality(v_old) = 0;
    with gone as (
      delete from pgqueue.ready r where r.ctid = any(v_old) returning r.seq, r.job_id, r.attempt, r.traits | 64 as traits),
    changed as (
      insert into pgqueue.changed_priority (job_id, priority) select g.job_id, v_highest from gone g
      on conflict (job_id) do update set priority = excluded.priority)
    select array_agg(g.job_id order by g.seq), array_agg(g.attempt order by g.seq), array_agg(g.traits order by g.seq) into v_jobs, v_attempts, v_traits from gone g;
    perform pgqueue._enter(v_jobs, array_fill(v_queue, array[cardinality(v_jobs)]), array_fill(v_highest, array[cardinality(v_jobs)]), v_attempts, v_traits, true);
    v_done := v_done + cardinality(v_jobs);
  end loop;
  return v_done;
end $$;
