-- Locks the place where a task waits, so that no claim takes it until this transaction ends; false when it waits in none of them. A claim that has it locked is waited for.
create function pgqueue._lock_waiting(job bigint) returns boolean
language plpgsql
as $$
begin
  perform from pgqueue.ready w where w.ctid = (select r.place from pgqueue._in_ready(job) r) for update;
  if found then return true; end if;
  perform from pgqueue.scheduled w where w.job_id = job for update;
  if found then return true; end if;
  perform from pgqueue.arrival w where w.job_id = job for update;
  if found then return true; end if;
  perform from pgqueue.blocked w where w.job_id = job for update;
  if found then return true; end if;
  perform from pgqueue.suspect w where w.job_id = job for update;
  if found then return true; end if;
  perform from pgqueue.dependent w where w.job_id = job for update;
  return found;
end $$;
