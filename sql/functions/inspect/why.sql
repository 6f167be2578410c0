-- One sentence, the first reason that holds, in the order in which each would have to be removed. Each cause that needs a look of its own has a private function,
-- which says null where the cause is not there.
create function pgqueue.why(id bigint)
returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_job pgqueue.job_info;
  v_queue pgqueue.queue;
  v_running bigint;
  v_workers bigint;
  v_batch pgqueue.batch;
  v_name text;
begin
  select * into v_batch from pgqueue.batch b where b.id = why.id;
  if v_batch.id is not null then
    return pgqueue._why_batch(v_batch);
  end if;
  select * into v_job from pgqueue.job(why.id);
  v_name := pgqueue._job_name(why.id, v_job.kind, v_job.args);
  select * into v_queue from pgqueue.queue q where q.name = v_job.queue;
  select count(*) into v_workers
  from pgqueue.worker w
  where w.queues @> array[v_job.queue] and w.heartbeat_at >= pgqueue._now() - (select c.lost_after from pgqueue.config c);
  select coalesce(sum(cardinality(l.job_ids)), 0) into v_running from pgqueue.lease l where l.queue = v_job.queue;
  return coalesce(
    pgqueue._why_moved(v_job, v_name),
    case when exists (select from pgqueue.dependent d where d.job_id = why.id) then pgqueue._why_dependent(why.id, v_name) end,
    case when v_queue.paused_at is not null then
      format('Queue %s is paused since %s: call pgqueue.resume_queue(%L).', v_job.queue, to_char(v_queue.paused_at, 'YYYY-MM-DD HH24:MI:SS OF'), v_job.queue) end,
    pgqueue._why_held(v_job, v_queue, v_name),
    case when v_workers = 0 and v_job.kind <> 'keyed.item' then format('No live worker serves queue %s: start one.', v_job.queue) end,
    pgqueue._why_limited(v_job, v_queue, v_running),
    pgqueue._why_apart(v_job, v_name),
    pgqueue._why_behind(v_job, v_name, v_running, v_workers));
end $$;

comment on function pgqueue.why is
'One plain sentence: why this job is not running yet, or what became of it. The id may be that of a batch or slow query. Errors: PQ002.';
