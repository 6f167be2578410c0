-- What `why` says of a batch or slow query.
create function pgqueue._why_batch(batch pgqueue.batch) returns text
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_count pgqueue.batch_count;
  v_queue pgqueue.queue;
  v_runs bigint;
  v_taken bigint;
  v_workers bigint;
  v_name text := case (batch).kind when 'batch' then 'Batch ' else 'Slow query ' end || (batch).id;
begin
  select * into v_count from pgqueue.batch_count c where c.batch_id = (batch).id;
  if (batch).done_at is not null then
    return format('%s is final: it %s at %s%s.', v_name, case (batch).status when 'aborted' then 'was aborted' else (batch).status end,
      to_char((batch).done_at, 'YYYY-MM-DD HH24:MI:SS OF'),
      case (batch).kind when 'batch' then format('; of its %s rows %s succeeded, %s failed, %s were aborted', v_count.rows, v_count.succeeded, v_count.failed, v_count.aborted) end);
  elsif (batch).status = 'held' and (batch).reason is not null then
    return format('%s is being aborted, since one that it depends on has failed: upkeep does it in steps, %s rows are left.', v_name, v_count.pending);
  elsif (batch).status = 'held' and (batch).waits then
    return pgqueue._why_dependent((batch).gate, v_name)
      || case when (batch).hold then format(' It is held besides, with %s rows so far: call pgqueue.batch_release(%s).', v_count.rows, (batch).id) else '' end;
  elsif (batch).status = 'held' then
    return format('%s is held, with %s rows so far: call pgqueue.batch_release(%s).', v_name, v_count.rows, (batch).id);
  end if;

  if (batch).kind = 'batch' then
    v_name := format('%s of the %s rows of batch %s are done', v_count.rows - v_count.pending, v_count.rows, (batch).id);
  else
    v_name := v_name || ' is not done';
  end if;
  select count(*) filter (where s.batch_id is not null), count(*) into v_runs, v_taken
  from (select l.job_ids from pgqueue.lease l where l.queue = (batch).queue offset 0) l
  cross join unnest(l.job_ids) j(id)
  left join lateral (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.id and s.batch_id = (batch).id offset 0) s on true;
  if v_runs > 0 then
    return format('%s; workers have %s.', v_name, case when (batch).kind <> 'batch' then 'it' when v_runs = 1 then 'one slice of it' else v_runs || ' slices of it' end);
  end if;
  select * into v_queue from pgqueue.queue q where q.name = (batch).queue;
  select count(*) into v_workers
  from pgqueue.worker w
  where w.queues @> array[(batch).queue] and w.heartbeat_at >= v_now - (select c.lost_after from pgqueue.config c);
  if v_queue.paused_at is not null then
    return format('%s; queue %s is paused since %s: call pgqueue.resume_queue(%L).', v_name, (batch).queue,
      to_char(v_queue.paused_at, 'YYYY-MM-DD HH24:MI:SS OF'), (batch).queue);
  elsif v_workers = 0 then
    return format('%s; no live worker serves queue %s: start one that has a processor for app %s, op %s.', v_name, (batch).queue, (batch).app, (batch).op);
  elsif v_queue.max_running <= v_taken then
    return format('%s; queue %s runs %s jobs already, its max_running is %s.', v_name, (batch).queue, v_taken, v_queue.max_running);
  end if;
  return format('%s; no worker has more of it just now, %s queue %s. What is ahead of a slice, why says by the id of its job.', v_name,
    case v_workers when 1 then 'one serves' else v_workers || ' serve' end, (batch).queue);
end $$;
