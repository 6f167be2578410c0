-- Upkeep: arrivals that no claim has looked at, for queues nobody claims from just now. Bounded per queue; claims do the bulk.
create function pgqueue._duty_admit() returns bigint
language sql
as $$
  select coalesce(sum(pgqueue._admit(l.queue, 1000)), 0)
  from (select distinct l.queue from pgqueue.lane l where l.grouped order by 1) l;
$$;
