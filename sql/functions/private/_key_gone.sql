-- Whether the holder that a row of job_key names holds the key no more: its period is over; it has ended, or started where the key is for its wait, and the row could not
-- be deleted because an enqueue that was rolled back had it locked. Stable: answers from the snapshot that showed the row, in which a job and its key go together.
create function pgqueue._key_gone(holder bigint, until timestamptz, now_ timestamptz) returns boolean
language plpgsql stable
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_job record;
begin
  if until is not null then
    return until <= now_;
  end if;
  select j.unique_until, (select o.job_id from pgqueue.outcome o where o.job_id = holder) is not null as ended into v_job
  from pgqueue.job j where j.id = holder;
  if not found or v_job.ended then
    return true;
  end if;
  return v_job.unique_until is not null and not pgqueue._waits_somewhere(holder) and (pgqueue._lease_of(holder)).id is not null;
end $$;
