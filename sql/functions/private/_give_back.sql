-- Gives back what a lease still holds, nothing spent. The caller has locked it.
create function pgqueue._give_back(lease pgqueue.lease) returns integer
language plpgsql
as $$
begin
  delete from pgqueue.lease l where l.id = (lease).id;
  perform pgqueue._settle_unsuccessful(lease, (lease).job_ids, array_fill('release'::text, array[cardinality((lease).job_ids)]), (lease).attempts,
    coalesce((lease).traits, array_fill(0, array[cardinality((lease).job_ids)])), null, null);
  return cardinality((lease).job_ids);
end $$;
