-- _enter for jobs among which some have waited and kept their slot (trait 32768): they hold it as they come back, if nobody has taken it from them. Where starts are counted theirs has to be admitted like any other,
-- so they stand among the blocked, and their group is looked at: see _admit_groups.
create function pgqueue._enter_kept(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[],
  admitted boolean) returns void
language plpgsql
as $$
declare
  v_kept bigint[];
  v_counted bigint[];
  v_part record;
begin
  with kept as (
    update pgqueue.slot s set state = case when (select q.counted from pgqueue.queue q where q.name = s.queue) then 4 else 0 end
    where s.job_id = any(array(select e.id from unnest(jobs, _enter_kept.traits) e(id, traits) where e.traits & 32768 <> 0))
    returning s.job_id, s.state, s.queue, s.group_key),
  blocked as (
    insert into pgqueue.blocked (seq, job_id, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), e.id, e.traits & ~(32768 | 16384), e.priority, e.attempt, e.queue, (select k.group_key from kept k where k.job_id = e.id)
    from unnest(jobs, priorities, attempts, queues, _enter_kept.traits) e(id, priority, attempt, queue, traits)
    where e.id = any(array(select k.job_id from kept k where k.state = 4))),
  asked as (
    insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), 0, 0, 0, k.queue, k.group_key from kept k where k.state = 4)
  select coalesce(array_agg(k.job_id) filter (where k.state = 0), '{}'), coalesce(array_agg(k.job_id) filter (where k.state = 4), '{}') into v_kept, v_counted from kept k;

  for v_part in
    select p.held, array_agg(p.id order by p.ord) as jobs, array_agg(p.queue order by p.ord) as queues, array_agg(p.priority order by p.ord) as priorities,
      array_agg(p.attempt order by p.ord) as attempts, array_agg(p.traits order by p.ord) as traits
    from (
      select e.id, e.queue, e.priority, e.attempt, e.traits & ~32768 as traits, e.ord, case when e.traits & 32768 <> 0 then e.id = any(v_kept) else admitted end as held
      from unnest(jobs, queues, priorities, attempts, _enter_kept.traits) with ordinality e(id, queue, priority, attempt, traits, ord)
      where e.id <> all(v_counted)) p
    group by p.held
  loop
    perform pgqueue._enter(v_part.jobs, v_part.queues, v_part.priorities, v_part.attempts, v_part.traits, v_part.held);
  end loop;
  perform pgqueue._open_lane(l.queue, l.priority, true), pgqueue._wake(l.queue)
  from (select distinct e.queue, e.priority from unnest(jobs, queues, priorities) e(id, queue, priority) where e.id = any(v_counted)) l;
end $$;
