-- One sentence, the first reason that holds, in the order in which each would have to be removed. Who is ahead is counted by two walks along the
-- index; as one join it depends on statistics whether the backlog is joined with itself.
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
  v_now timestamptz := pgqueue._now();
  v_job record;
  v_place record;
  v_queue pgqueue.queue;
  v_ahead bigint;
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
  where w.queues @> array[v_job.queue] and w.heartbeat_at >= v_now - (select c.lost_after from pgqueue.config c);
  select coalesce(sum(cardinality(l.job_ids)), 0) into v_running from pgqueue.lease l where l.queue = v_job.queue;

  if v_job.state in ('succeeded', 'failed', 'cancelled') then
    return format('%s is final: it %s%s at %s.', v_name,
      case v_job.state when 'cancelled' then 'was cancelled' else v_job.state end, coalesce(' (' || v_job.reason || ')', ''),
      to_char(v_job.finished_at, 'YYYY-MM-DD HH24:MI:SS OF'));
  elsif v_job.state = 'running' and v_job.worker_id = 0 then
    return (
      select format('Item %s is active: a client claimed it %s ago, and last said %s ago that it executes it.', id, date_trunc('milliseconds', v_now - i.claimed_at),
        date_trunc('milliseconds', v_now - i.heartbeat_at))
      from pgqueue.keyed_item i where i.job_id = why.id);
  elsif v_job.state = 'running' then
    return format('%s is running: worker %s claimed it %s ago%s.', v_name, v_job.worker_id, date_trunc('milliseconds', v_now - v_job.claimed_at),
      case when v_job.cancel_requested then ', and was asked to cancel it' else '' end);
  elsif v_job.state = 'scheduled' and v_job.run_at > v_now then
    return format('%s waits for %s (in %s)%s.', v_name, to_char(v_job.run_at, 'YYYY-MM-DD HH24:MI:SS OF'),
      date_trunc('milliseconds', v_job.run_at - v_now),
      case when v_job.attempt > 0 then format(', to try again after attempt %s of %s', v_job.attempt, v_job.max_attempts) else '' end);
  elsif v_job.state = 'scheduled' then
    return format('%s has been due since %s, but no upkeep has promoted it: start a worker, or call pgqueue.maintain() from cron.', v_name,
      to_char(v_job.run_at, 'YYYY-MM-DD HH24:MI:SS OF'));
  elsif exists (select from pgqueue.dependent d where d.job_id = why.id) then
    return pgqueue._why_dependent(why.id, v_name);
  elsif v_queue.paused_at is not null then
    return format('Queue %s is paused since %s: call pgqueue.resume_queue(%L).', v_job.queue,
      to_char(v_queue.paused_at, 'YYYY-MM-DD HH24:MI:SS OF'), v_job.queue);
  elsif v_job.state = 'held' and exists (select from pgqueue.held h where h.job_id = why.id) then
    v_batch.id := (select h.batch_id from pgqueue.held h where h.job_id = why.id);
    return format('%s waits for the release of batch %s: call pgqueue.batch_release(%s).', v_name, v_batch.id, v_batch.id);
  elsif v_job.state = 'held' then
    return format('%s waits for its turn: group %s of queue %s runs at most %s at a time.', v_name, v_job.group_key, v_job.queue, v_queue.group_limit);
  elsif v_workers = 0 and v_job.kind <> 'keyed.item' then
    return format('No live worker serves queue %s: start one.', v_job.queue);
  elsif v_queue.max_running <= v_running then
    return format('Queue %s runs %s jobs already, its max_running is %s.', v_job.queue, v_running, v_queue.max_running);
  elsif exists (select from pgqueue.line l where l.job_id = why.id) then
    v_ahead := (
      select count(*) from pgqueue.line l, pgqueue.line o
      where l.job_id = why.id and o.queue = l.queue and o.owner = l.owner and (o.priority > l.priority or o.priority = l.priority and o.job_id < l.job_id));
    return format('%s stands in line in queue %s, where owners take turns: %s of its owner %s in line before it, %s of that owner %s.', v_name, v_job.queue, v_ahead,
      case v_ahead when 1 then 'is' else 'are' end, (select count(*) from pgqueue.turn t where t.queue = v_job.queue and t.owner = v_job.group_key),
      case (select count(*) from pgqueue.turn t where t.queue = v_job.queue and t.owner = v_job.group_key) when 1 then 'runs' else 'run' end);
  elsif v_job.crashes > 0 then
    return format('%s was in %s crashes and is given out alone, to a worker that holds no other such job.', v_name, v_job.crashes);
  end if;
  select * into v_place from pgqueue._in_ready(why.id);
  v_ahead := (select count(*) from pgqueue.ready o where o.queue = v_place.queue and o.priority > v_place.priority)
    + (select count(*) from pgqueue.ready o where o.queue = v_place.queue and o.priority = v_place.priority and o.seq < v_place.seq);
  if v_job.kind = 'keyed.item' then
    return (
      select format('Item %s is pending: %s before it in keyed queue %s, of which %s active.', id, case v_ahead when 0 then 'nothing waits' when 1 then 'one waits' else v_ahead || ' wait' end, i.queue,
        case v_running when 0 then 'nothing is' when 1 then 'one is' else v_running || ' are' end)
      from pgqueue.keyed_item i where i.job_id = why.id);
  end if;
  return format('%s is queued: %s ahead of it in queue %s, which %s.', v_name,
    case v_ahead when 0 then 'nothing is' when 1 then 'one job is' else v_ahead || ' jobs are' end, v_job.queue,
    case v_workers when 1 then 'one worker serves' else v_workers || ' workers serve' end);
end $$;

comment on function pgqueue.why is
'One plain sentence: why this job is not running yet, or what became of it. The id may be that of a batch or slow query. Errors: PQ002.';
