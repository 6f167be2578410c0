-- A stalled item goes back to where it waits, as from a worker that was lost.
create function pgqueue._keyed_release(item bigint) returns boolean
language plpgsql
as $$
declare
  v_lease pgqueue.lease;
begin
  select l.* into v_lease from pgqueue.lease l
  where l.id = (select i.lease_id from pgqueue.keyed_item i where i.job_id = item) for update;
  if not found or item <> all(v_lease.job_ids) then
    return false;
  end if;
  perform pgqueue._unlease(v_lease, array[item]);
  perform pgqueue._rescue_jobs(v_lease, array[e.id], array[e.attempt], array[e.traits], 0::smallint)
  from unnest(v_lease.job_ids, v_lease.attempts, v_lease.traits) e(id, attempt, traits) where e.id = item;
  return true;
end $$;
