-- Locks the batches whose rows these leases carry, in the order of their ids: for a call that ends slices of several leases one after the other. Two such calls that went by their leases
-- would wait for each other. Nothing is looked up when no lease carries rows.
create function pgqueue._lock_batches(leases bigint[], jobs bigint[]) returns void
language plpgsql
as $$
begin
  if exists (select from pgqueue.lease l cross join unnest(l.traits) t where l.id = any(leases) and t & 512 <> 0) then
    perform from pgqueue.batch_count c
    where c.batch_id = any(array(select (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.id) from unnest(jobs) j(id))) order by c.batch_id for no key update;
  end if;
end $$;
