-- What claim returns of these leases, with everything that may be special about a job. Job rows are read by array, materialised: joined directly they would be
-- read through an ordered walk of the whole index.
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
  v_any integer;
  v_low bigint;
  v_high bigint;
begin
  select array_agg(e.id), min(e.id), max(e.id), coalesce(bit_or(e.traits), 0) into v_jobs, v_low, v_high, v_any
  from pgqueue.lease l cross join unnest(l.job_ids, l.traits) e(id, traits) where l.id = any(leases);
  return query
  with job as materialized (
    select * from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs)),
  held as materialized (
    select l.id as lease, q.max_attempts, q.timeout, e.id, e.attempt, e.ord
    from pgqueue.lease l
    cross join unnest(l.job_ids, l.attempts) with ordinality e(id, attempt, ord)
    left join pgqueue.queue q on q.name = l.queue
    where l.id = any(leases))
  select h.lease, j.id, j.queue, j.kind, j.args, h.attempt::integer, coalesce(j.max_attempts, h.max_attempts, 5::smallint)::integer,
    coalesce(p.priority, j.priority)::integer, coalesce(j.timeout, h.timeout),
    j.heartbeat, j.headers, j.group_key, j.unique_key, coalesce(c.crashes, 0)::integer, j.created_at
  from held h
  join job j on j.id = h.id
  left join lateral (select c.crashes from pgqueue.crash c where v_any & 32 <> 0 and c.job_id = h.id) c on true
  left join lateral (select p.priority from pgqueue.changed_priority p where v_any & 64 <> 0 and p.job_id = h.id) p on true
  order by coalesce(p.priority, j.priority) desc, h.lease, h.ord;
end $$;
