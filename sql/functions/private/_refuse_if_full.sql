-- Refuses jobs that have just been stored in a queue with max_queued, when more are waiting there by now than that. What counts is committed or this transaction's own: so the transactions that are open at a
-- time can each fill what is left, and together more than that; nobody waits for anybody. `jobs`: ids that were drawn; those that found their key held made no job, and are no reason to refuse;
-- nor are those that wait for others, or have ended at once, as theirs had failed.
create function pgqueue._refuse_if_full(queue text, jobs bigint[]) returns void
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_most integer;
begin
  select q.max_queued into v_most from pgqueue.queue q where q.name = _refuse_if_full.queue;
  if v_most is null or not exists (
    select from pgqueue.job j
    where j.id between (select min(i) from unnest(jobs) i) and (select max(i) from unnest(jobs) i) and j.id = any(jobs)
      and (j.depends_on is null
        or (select d.job_id from pgqueue.dependent d where d.job_id = j.id) is null and (select o.job_id from pgqueue.outcome o where o.job_id = j.id) is null)) then
    return;
  end if;
  if pgqueue._queued(queue, v_most + 1) > v_most then
    perform pgqueue._refuse('PQ008', format('queue %s is full: %s jobs may wait in it', queue, v_most),
      'Try again when workers have caught up, or raise max_queued with configure_queue.');
  end if;
end $$;
