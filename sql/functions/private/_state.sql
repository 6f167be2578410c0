-- The one word for where a job stands, in one statement and so from one snapshot: a job that moves meanwhile is in one place or the other. `batches`: an id may
-- also be that of a batch or slow query, which is looked at only when there is no such job.
create function pgqueue._state(job bigint, batches boolean default false) returns text
language plpgsql
as $$
declare
  v_state text;
begin
  select coalesce(
    (select o.state::text from pgqueue.outcome o where o.job_id = job),
    (select 'queued' from pgqueue._in_ready(job)),
    (select 'scheduled' from pgqueue.scheduled w where w.job_id = job),
    (select 'queued' from pgqueue.arrival w where w.job_id = job),
    (select 'held' from pgqueue.blocked w where w.job_id = job),
    (select 'queued' from pgqueue.suspect w where w.job_id = job),
    (select 'queued' from pgqueue.line w where w.job_id = job),
    (select 'held' from pgqueue.held w where w.job_id = job),
    (select 'held' from pgqueue.dependent w where w.job_id = job),
    (select 'running' from pgqueue.job j where j.id = job)) into v_state;
  if v_state is null and batches then
    v_state := pgqueue._batch_state(job);
  end if;
  if v_state is null then
    perform pgqueue._unknown_job(job, 'It was never enqueued, its transaction was rolled back, it is past its retention, or its queue keeps no history.');
  end if;
  return v_state;
end $$;
