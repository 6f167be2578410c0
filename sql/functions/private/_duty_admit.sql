-- Upkeep: arrivals that no claim has looked at, for queues nobody claims from just now. Bounded per queue; claims do the bulk. And jobs that came back and stood among the blocked to have their start counted
-- (slot state 4), while somebody was changing the queue to one whose starts are not: see _no_longer_counted.
create function pgqueue._duty_admit() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
  perform pgqueue._no_longer_counted(s.queue) from (select distinct s.queue from (select s.queue from pgqueue.slot s where s.state = 4 order by s.queue limit 10000) s) s;
  return (
    select coalesce(sum(pgqueue._admit(l.queue, 1000)), 0)
    from (select distinct l.queue from pgqueue.lane l where l.grouped order by 1) l);
end $$;
