-- Takes the picked rows out of ready and leases them, one lease per queue. Returns the leases, the jobs with the lease of each,
-- and what claim has to know of them. Who is at a first
-- attempt starts in the order of enqueueing, though a group or a time may have kept it, but where groups take turns (trait 16384); of one priority, the leases' numbers follow the order of the queues.
create function pgqueue._take(
  in worker bigint,
  in picked tid[],
  in queues text[],
  out leases bigint[],
  out jobs bigint[],
  out of_lease bigint[],
  out any_ integer,
  out low bigint,
  out high bigint,
  out spent smallint,
  out special boolean)
language plpgsql
as $$
begin
  with taken as (
    delete from pgqueue.ready r where r.ctid = any(picked)
    returning r.seq, r.job_id, r.queue, r.priority, r.attempt, r.traits),
  listed as materialized (
    select t.queue, array_agg(t.job_id) as jobs, array_agg(t.attempt + 1) as attempts, array_agg(t.traits) as traits, bit_or(t.traits) as any_,
      min(t.job_id) as low, max(t.job_id) as high, max(t.attempt) as spent
    from (select * from taken order by priority desc, case when attempt = 0 and traits & 16384 = 0 then job_id else seq end) t group by t.queue),
  held as (
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    select pgqueue._lease_number(), _take.worker, pgqueue._now(), pgqueue._forget(l.history), l.queue, l.jobs, l.attempts,
      case when l.any_ <> 0 then l.traits end
    from (
      select l.*, q.history from listed l left join pgqueue.queue q on q.name = l.queue order by array_position(queues, l.queue)) l
    returning id, job_ids),
  flat as (select array_agg(e.id) as jobs, array_agg(h.id) as of_lease from held h cross join lateral unnest(h.job_ids) e(id))
  select (select array_agg(h.id) from held h), (select f.jobs from flat f), (select f.of_lease from flat f), bit_or(l.any_ | case when q.rate_limit is not null or q.counted then 16384 else 0 end), min(l.low), max(l.high), max(l.spent),
    bool_or(q.timeout is not null or q.max_attempts is not null)
  into leases, jobs, of_lease, any_, low, high, spent, special
  from listed l left join pgqueue.queue q on q.name = l.queue;
end $$;
