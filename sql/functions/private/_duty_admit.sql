-- Upkeep: arrivals that no claim has looked at, for queues nobody claims from just now. Bounded per queue; claims do the bulk. And jobs that came back and stood among the blocked to have their start counted
-- (slot state 4), while somebody was changing the queue to one whose starts are not: see _no_longer_counted. The places of jobs that failed while somebody was changing the queue to
-- one where that blocks nobody. And jobs that a claim put aside while somebody was taking the limit away: where there is none, no
-- slot that is given up is for anybody.
create function pgqueue._duty_admit() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
  perform pgqueue._no_longer_counted(s.queue) from (select distinct s.queue from (select s.queue from pgqueue.slot s where s.state = 4 order by s.queue limit 10000) s) s;
  with gone as (
    delete from pgqueue.slot s
    where s.ctid = any(array(
      select s.ctid
      from (select s.ctid, s.queue from pgqueue.slot s where s.state = 3 order by s.queue, s.group_key limit 10000) s
      where (select q.group_failure from pgqueue.queue q where q.name = s.queue) is distinct from 'block')) and s.state = 3
    returning s.queue, s.group_key)
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  select nextval('pgqueue.job_id'), 0, 0, 0, g.queue, g.group_key from (select distinct g.queue, g.group_key from gone g) g;
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  select nextval('pgqueue.job_id'), 0, 0, 0, g.queue, g.group_key
  from (
    select distinct b.queue, b.group_key
    from (select q.name from pgqueue.queue q where q.group_limit is null and not q.counted offset 0) q
    cross join lateral (
      select b.queue, b.group_key from pgqueue.blocked b where b.queue = q.name order by b.queue, b.group_key, b.priority desc, b.seq limit 1000) b) g;
  return (
    select coalesce(sum(pgqueue._admit(l.queue, 1000)), 0)
    from (select distinct l.queue from pgqueue.lane l where l.grouped order by 1) l);
end $$;
