-- Locks the batches whose rows these leases carry, in the order of their ids: for a call that ends slices of several leases one after the other. Two such calls that went by their leases
-- would wait for each other. So whatever may end slices calls this before it locks anything that a worker or an abort could wait for; those that cannot know so early
-- what they will meet use _try_batches. `jobs`: only those of the leases; null means all. Nothing is looked up when no lease carries rows.
create function pgqueue._lock_batches(leases bigint[], jobs bigint[] default null) returns void
language plpgsql
as $$
begin
  if exists (select from pgqueue.lease l cross join unnest(l.traits) t where l.id = any(leases) and t & 512 <> 0) then
    if jobs is null then
      jobs := array(select j.id from pgqueue.lease l cross join unnest(l.job_ids) j(id) where l.id = any(leases));
    end if;
    perform from pgqueue.batch_count c
    where c.batch_id = any(array(select (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.id) from unnest(jobs) j(id))) order by c.batch_id for no key update;
  end if;
end $$;
