-- What claim returns of these leases, with everything that may be special about a job. Job rows are read by array, materialised: joined directly they would be
-- read through an ordered walk of the whole index. What a few jobs have is read by scalar subqueries, which nothing can turn into a join with the whole table.
create function pgqueue._leased(leases bigint[])
returns table (
  lease bigint,
  id bigint,
  queue text,
  kind text,
  args jsonb,
  attempt integer,
  max_attempts integer,
  priority integer,
  timeout interval,
  heartbeat interval,
  headers jsonb,
  group_key text,
  unique_key text,
  crashes integer,
  created_at timestamptz)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_jobs bigint[];
  v_low bigint;
  v_high bigint;
begin
  select array_agg(e.id), min(e.id), max(e.id) into v_jobs, v_low, v_high
  from pgqueue.lease l cross join unnest(l.job_ids) e(id) where l.id = any(leases);
  return query
  with job as materialized (
    select * from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs)),
  held as materialized (
    select l.id as lease, q.max_attempts, q.timeout, e.id, e.attempt, e.ord,
      case when e.traits & 32 <> 0 then (select c.crashes from pgqueue.crash c where c.job_id = e.id) end as crashes,
      case when e.traits & 64 <> 0 then (select p.priority from pgqueue.changed_priority p where p.job_id = e.id) end as priority
    from pgqueue.lease l
    cross join unnest(l.job_ids, l.attempts, l.traits) with ordinality e(id, attempt, traits, ord)
    left join pgqueue.queue q on q.name = l.queue
    where l.id = any(leases))
  select h.lease, j.id, j.queue, j.kind, j.args, h.attempt::integer, coalesce(j.max_attempts, h.max_attempts, 5::smallint)::integer,
    coalesce(h.priority, j.priority)::integer, coalesce(j.timeout, h.timeout),
    j.heartbeat, j.headers, j.group_key, j.unique_key, coalesce(h.crashes, 0)::integer, j.created_at
  from held h
  join job j on j.id = h.id
  order by coalesce(h.priority, j.priority) desc, h.lease, h.ord;
end $$;
