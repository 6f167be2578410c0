-- Jobs of new leases that hold their unique key only while they wait give it up. A row that an enqueue has locked is left to it: it is about to see that the job runs, and
-- takes the key over. Returns the leases.
create function pgqueue._give_up_keys(leases bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_jobs bigint[] := array(
    select e.id from pgqueue.lease l cross join unnest(l.job_ids, l.traits) e(id, traits) where l.id = any(leases) and e.traits & 2048 <> 0);
begin
  delete from pgqueue.job_key k where k.ctid = any(array(select k.ctid from pgqueue.job_key k where k.job_id = any(v_jobs) for update skip locked));
  return leases;
end $$;
