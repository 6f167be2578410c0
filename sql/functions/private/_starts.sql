-- Notes that the jobs of these leases have been started, where that is counted: for the rate of their queue, and for their groups, whose next are admitted then. In the transaction
-- of the claim, which holds the limiters of queues with a rate. Noted with the time that the lease has, which is never before the one at which the claim looked at the room; it never goes back, as sums
-- are in the order of times.
create function pgqueue._starts(leases bigint[]) returns void
language plpgsql
as $$
declare
  v_id bigint;
  v_lease pgqueue.lease;
  v_queue pgqueue.queue;
begin
  foreach v_id in array leases loop
    select * into v_lease from pgqueue.lease l where l.id = v_id;
    select * into v_queue from pgqueue.queue q where q.name = v_lease.queue;
    if v_queue.rate_limit is not null then
      insert into pgqueue.rate_start (queue, started_at, total, jobs, expires_at)
      select v_lease.queue, greatest(v_lease.claimed_at, n.last), coalesce(n.total, 0) + cardinality(v_lease.job_ids), cardinality(v_lease.job_ids),
        greatest(v_lease.claimed_at, n.last) + coalesce(v_queue.rate_period, '1 second')
      from (select (l.last).started_at as last, (l.last).total as total
        from (select (
          select r from pgqueue.rate_start r where r.queue = v_lease.queue order by r.queue desc, r.started_at desc, r.total desc limit 1) as last) l) n;
    end if;
    if v_queue.counted and v_lease.traits is not null then
      perform pgqueue._groups_start(v_lease, v_queue);
    end if;
  end loop;
end $$;
