-- Jobs of new leases that hold their unique key only while they wait give it up. Returns the leases.
create function pgqueue._give_up_keys(leases bigint[]) returns bigint[]
language plpgsql
as $$
begin
  perform pgqueue._free_keys(array(
    select e.id from pgqueue.lease l cross join unnest(l.job_ids, l.traits) e(id, traits) where l.id = any(leases) and e.traits & 2048 <> 0));
  return leases;
end $$;
