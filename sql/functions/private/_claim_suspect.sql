-- One job that came out of a crash, leased alone: the oldest of these queues. A worker that holds a job of two or more crashes is given no second one.
-- Returns the lease's id, or null.
create function pgqueue._claim_suspect(worker bigint, queues text[]) returns bigint
language plpgsql
as $$
declare
  v_job record;
  v_careful boolean;
  v_lease bigint;
begin
  select exists (
    select from pgqueue.lease l cross join unnest(l.job_ids) j(id) join pgqueue.crash c on c.job_id = j.id
    where l.worker_id = _claim_suspect.worker and c.crashes >= 2) into v_careful;
  for v_job in
    select s.ctid, s.*, q.history, q.max_running
    from pgqueue.suspect s left join pgqueue.queue q on q.name = s.queue
    where s.queue = any(queues) and q.paused_at is null and (s.crashes < 2 or not v_careful)
    order by s.seq limit 10 for update of s skip locked
  loop
    continue when pgqueue._room(v_job.queue, v_job.max_running) <= 0;
    delete from pgqueue.suspect s where s.ctid = v_job.ctid;
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    values (pgqueue._lease_number(), _claim_suspect.worker, pgqueue._now(), pgqueue._forget(v_job.history), v_job.queue,
      array[v_job.job_id], array[v_job.attempt + 1]::smallint[], array[v_job.traits])
    returning id into v_lease;
    return v_lease;
  end loop;
  return null;
end $$;
