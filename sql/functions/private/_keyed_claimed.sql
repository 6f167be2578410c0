-- Items among the jobs of new leases are active from now on.
create function pgqueue._keyed_claimed(leases bigint[]) returns void
language plpgsql
as $$
begin
  update pgqueue.keyed_item i
  set lease_id = e.lease, claimed_at = pgqueue._now(), heartbeat_at = pgqueue._now()
  from (
    select l.id as lease, j.id from pgqueue.lease l cross join unnest(l.job_ids, l.traits) j(id, traits)
    where l.id = any(leases) and j.traits & 1024 <> 0 offset 0) e
  where i.job_id = e.id;
end $$;
