-- The end of a batch, once: its status, when it may be forgotten, and the job that calls its completion back, which is in the queue when this commits, as what
-- follows it is. `by_gate`: the end of another job ends it, on its way through those that wait; then upkeep tells those that wait for this one, so that no chain of batches goes deep here.
create function pgqueue._finish_batch(batch bigint, status text, by_gate boolean default false) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_batch pgqueue.batch;
  v_job bigint := nextval('pgqueue.job_id');
begin
  update pgqueue.batch b
  set status = _finish_batch.status, done_at = v_now, done_job = v_job,
    expires_at = v_now + coalesce((select q.retention from pgqueue.queue q where q.name = b.queue), (select c.retention from pgqueue.config c))
  where b.id = batch returning b.* into v_batch;
  insert into pgqueue.job (id, created_at, priority, max_attempts, queue, kind, args)
  values (v_job, v_now, v_batch.priority, 10, v_batch.queue, 'rows.done', jsonb_build_object('batch', v_batch.id, 'kind', v_batch.kind, 'app', v_batch.app, 'op', v_batch.op));
  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue) values (v_job, v_job, 0, v_batch.priority, 0, v_batch.queue);
  perform pgqueue._open_lane(v_batch.queue, v_batch.priority, false);
  perform pgqueue._wake(v_batch.queue);
  perform pgqueue._announce(array[v_batch.id]);
  perform pgqueue._follow_batch(v_batch);
  if exists (select from pgqueue.dependency d where d.parent_id = batch) then
    status := case status when 'aborted' then 'cancelled' else status end;
    if by_gate then
      insert into pgqueue.parent_look (seq, job_id, state, low, high, parked)
      values (nextval('pgqueue.job_id'), batch, status::pgqueue.final_state, 0, 9223372036854775807, false);
    else
      perform pgqueue._release(array[batch], array[status], array[0::bigint], array[9223372036854775807], 1000, 1000, false);
    end if;
  end if;
end $$;
