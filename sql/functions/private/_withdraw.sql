-- Takes a live job from wherever it waits and says what it was; place is null when it waits nowhere (running, final, or unknown). A claim that has
-- the row locked is waited for: it is short, and afterwards the job is in a lease.
create function pgqueue._withdraw(
  in job bigint,
  out place text,
  out queue text,
  out priority smallint,
  out attempt smallint,
  out traits integer)
language plpgsql
as $$
#variable_conflict use_column
begin
  delete from pgqueue.ready w where w.ctid = (select r.place from pgqueue._in_ready(job) r)
    returning 'ready', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.scheduled w where w.job_id = job
    returning 'scheduled', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.arrival w where w.job_id = job
    returning 'arrival', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.blocked w where w.job_id = job
    returning 'blocked', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.suspect w where w.job_id = job
    returning 'suspect', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.line w where w.job_id = job
    returning 'line', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.held w where w.job_id = job
    returning 'held', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.dependent w where w.job_id = job
    returning 'dependent', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
end $$;
