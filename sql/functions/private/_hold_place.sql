-- Locks the row of a job where it waits, and says where that is; place is null when it waits nowhere, or in a room of its own kind. A claim that has the row locked is waited for, as in
-- _withdraw. Written, not only locked: a claim under an old snapshot would hand the job out as it was before what the caller changes; so it fails instead.
create function pgqueue._hold_place(
  in job bigint,
  out place text,
  out queue text,
  out traits integer)
language plpgsql
as $$
#variable_conflict use_column
begin
  update pgqueue.ready w set attempt = w.attempt where w.ctid = (select r.place from pgqueue._in_ready(job) r)
    returning 'ready', w.queue, w.traits into place, queue, traits;
  if found then return; end if;
  update pgqueue.scheduled w set attempt = w.attempt where w.job_id = job returning 'scheduled', w.queue, w.traits into place, queue, traits;
  if found then return; end if;
  update pgqueue.arrival w set attempt = w.attempt where w.job_id = job returning 'arrival', w.queue, w.traits into place, queue, traits;
  if found then return; end if;
  update pgqueue.blocked w set attempt = w.attempt where w.job_id = job returning 'blocked', w.queue, w.traits into place, queue, traits;
  if found then return; end if;
  update pgqueue.suspect w set attempt = w.attempt where w.job_id = job returning 'suspect', w.queue, w.traits into place, queue, traits;
  if found then return; end if;
  update pgqueue.dependent w set attempt = w.attempt where w.job_id = job returning 'dependent', w.queue, w.traits into place, queue, traits;
end $$;
