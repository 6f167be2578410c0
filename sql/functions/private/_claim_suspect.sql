-- One job that came out of a crash, leased alone: the oldest of these queues. A worker that holds a job of two or more crashes is given no second one.
-- Returns the lease's id, or null.
--
-- One candidate for each queue, ten queues at most, those whose suspects wait longest: where one of a queue is not given for want of room, no other of it is.
-- Sorting the suspects of all the queues would read every one of them.
create function pgqueue._claim_suspect(worker bigint, queues text[]) returns bigint
language plpgsql
as $$
declare
  v_job record;
  v_careful boolean;
  v_lease bigint;
begin
  -- As in _pick_limited, and before anything is counted.
  perform from pgqueue.limiter l where l.queue = any(queues) order by l.queue for no key update;
  select exists (
    select from pgqueue.lease l cross join unnest(l.job_ids, l.traits) j(id, traits)
    where l.worker_id = _claim_suspect.worker and j.traits & 32 <> 0
      and (select c.crashes from pgqueue.crash c where c.job_id = j.id) >= 2) into v_careful;
  for v_job in
    select s.*
    from (
      select h.queue, h.history, h.max_running
      from (
        select u.queue, q.history, q.max_running, (
          select s.seq from pgqueue.suspect s
          where s.queue = u.queue and (s.crashes < 2 or not v_careful) order by s.queue, s.seq limit 1) as first
        from (select distinct n.queue from unnest(queues) n(queue)) u
        left join pgqueue.queue q on q.name = u.queue
        where q.paused_at is null) h
      where h.first is not null
      order by h.first limit 10) h
    cross join lateral (
      select s.ctid, s.*, h.history, h.max_running from pgqueue.suspect s
      where s.queue = h.queue and (s.crashes < 2 or not v_careful) order by s.queue, s.seq limit 1 for update skip locked) s
    order by s.seq
  loop
    continue when pgqueue._room(v_job.queue, v_job.max_running) <= 0;
    delete from pgqueue.suspect s where s.ctid = v_job.ctid;
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    values (pgqueue._lease_number(), _claim_suspect.worker, pgqueue._now(), pgqueue._forget(v_job.history), v_job.queue,
      array[v_job.job_id], array[v_job.attempt + 1]::smallint[], array[v_job.traits])
    returning id into v_lease;
    if v_job.traits & 1024 <> 0 then
      perform pgqueue._keyed_claimed(array[v_lease]);
    end if;
    if v_job.traits & 2048 <> 0 then
      perform pgqueue._give_up_keys(array[v_lease]);
    end if;
    return v_lease;
  end loop;
  return null;
end $$;
