create function pgqueue.workers()
returns table (
  id bigint,
  name text,
  queues text[],
  concurrency integer,
  info jsonb,
  started_at timestamptz,
  heartbeat_at timestamptz,
  running bigint,
  lost boolean)
language sql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
  select w.id, w.name, w.queues, w.concurrency, w.info, w.started_at, w.heartbeat_at,
    (select coalesce(sum(cardinality(l.job_ids)), 0) from pgqueue.lease l where l.worker_id = w.id)::bigint,
    w.heartbeat_at < pgqueue._now() - (select c.lost_after from pgqueue.config c)
  from pgqueue.worker w order by w.id;
$$;

comment on function pgqueue.workers is
'Registered workers and how many jobs each holds. lost: its heartbeat has run out and the next upkeep gives its jobs to others.';
