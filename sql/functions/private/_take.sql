-- Takes the picked rows out of ready and leases them, one lease per queue. Returns the leases. Who is at a first attempt starts in the order of enqueueing, though
-- a group or a time may have kept it.
create function pgqueue._take(worker bigint, picked tid[]) returns bigint[]
language plpgsql
as $$
declare
  v_leases bigint[];
  v_any integer;
begin
  with taken as (
    delete from pgqueue.ready r where r.ctid = any(picked)
    returning r.seq, r.job_id, r.queue, r.priority, r.attempt, r.traits),
  listed as materialized (
    select t.queue, array_agg(t.job_id) as jobs, array_agg(t.attempt + 1) as attempts, array_agg(t.traits) as traits, bit_or(t.traits) as any
    from (select * from taken order by priority desc, case when attempt = 0 then job_id else seq end) t group by t.queue),
  held as (
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    select pgqueue._lease_number(), _take.worker, pgqueue._now(), pgqueue._forget(q.history), l.queue, l.jobs, l.attempts,
      case when l.any <> 0 then l.traits end
    from listed l left join pgqueue.queue q on q.name = l.queue
    returning id)
  select array_agg(h.id), (select bit_or(l.any) from listed l) into v_leases, v_any from held h;
  if v_any & 16 <> 0 then
    return pgqueue._drop_expired(v_leases);
  end if;
  return v_leases;
end $$;
