-- Locks those batches whose rows these leases carry that nobody else has locked, and returns the leases whose batches are all locked by now; those that carry no rows are among them.
-- It never waits, and so may be called with any lock in hand.
create function pgqueue._try_batches(leases bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_leases bigint[];
  v_batches bigint[];
  v_locked bigint[];
begin
  select array_agg(c.lease), array_agg(c.batch) into v_leases, v_batches
  from (
    select l.id as lease, (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.id) as batch
    from pgqueue.lease l cross join unnest(l.job_ids, l.traits) j(id, traits)
    where l.id = any(leases) and j.traits & 512 <> 0 offset 0) c
  where c.batch is not null;
  if v_leases is null then
    return leases;
  end if;
  v_locked := array(
    select c.batch_id from pgqueue.batch_count c where c.batch_id = any(v_batches) order by c.batch_id for no key update skip locked);
  return array(
    select i from unnest(leases) i
    where i <> all(array(
      select e.lease from unnest(v_leases, v_batches) e(lease, batch)
      where e.batch <> all(v_locked) and (select c.batch_id from pgqueue.batch_count c where c.batch_id = e.batch) is not null)));
end $$;
