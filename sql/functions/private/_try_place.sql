-- Locks the row of a job where it waits, unless another has it: for upkeep, which does not wait for a transaction that is about to cancel the job, to move it or to replace its arguments.
create function pgqueue._try_place(job bigint) returns boolean
language plpgsql
as $$
begin
  perform from pgqueue.ready w where w.ctid = (select r.place from pgqueue._in_ready(job) r) for update skip locked;
  if found then return true; end if;
  perform from pgqueue.scheduled w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.arrival w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.blocked w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.suspect w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.line w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.dependent w where w.job_id = job for update skip locked;
  return found;
end $$;
