-- Locks the row of a job where it waits, and says where that is; place is null when it waits nowhere, or in a room of its own kind. A claim that has the row locked is waited for, as in
-- _withdraw. Only locked, not written: whoever has read a row's address finds it there, or finds it gone, and looks again.
create function pgqueue._hold_place(in job bigint, out place text)
language plpgsql
as $$
begin
  perform from pgqueue.ready w where w.ctid = (select r.place from pgqueue._in_ready(job) r) for update;
  if found then place := 'ready'; return; end if;
  perform from pgqueue.scheduled w where w.job_id = job for update;
  if found then place := 'scheduled'; return; end if;
  perform from pgqueue.arrival w where w.job_id = job for update;
  if found then place := 'arrival'; return; end if;
  perform from pgqueue.blocked w where w.job_id = job for update;
  if found then place := 'blocked'; return; end if;
  perform from pgqueue.suspect w where w.job_id = job for update;
  if found then place := 'suspect'; return; end if;
  perform from pgqueue.dependent w where w.job_id = job for update;
  if found then place := 'dependent'; return; end if;
end $$;
