-- Lets a batch run that nothing holds any more; the caller has its counters locked. `by_gate`: it is let go by the end of another job, so only a moment may be spent here, and upkeep brings the
-- slices of a large one along.
create function pgqueue._let_go(batch bigint, by_gate boolean) returns void
language plpgsql
as $$
declare
  v_batch pgqueue.batch;
  v_rows integer;
begin
  update pgqueue.batch b set status = 'queued', released_at = pgqueue._now()
  where b.id = batch and b.status = 'held' and not b.hold and not b.waits returning b.* into v_batch;
  if not found then
    return;
  end if;
  select c.rows into v_rows from pgqueue.batch_count c where c.batch_id = batch;
  if v_rows = 0 then
    perform pgqueue._finish_batch(batch, 'succeeded', by_gate);
    return;
  elsif by_gate and v_rows > 5000 then
    insert into pgqueue.batch_leaving (batch_id, after) values (batch, batch);
    return;
  end if;
  with gone as (delete from pgqueue.held h where h.batch_id = batch returning h.*)
  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
  select g.job_id, g.job_id, g.traits, g.priority, g.attempt, g.queue from gone g;
  perform pgqueue._wake(v_batch.queue);
end $$;
