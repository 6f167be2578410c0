-- Gives a key that its holder holds no more to another job: its period is over, or the holder has left it. False when it is not so, or another was faster: the caller looks
-- again. The row is locked first and the holder looked at afterwards, in a new snapshot: it may have been retried meanwhile. Waits for other enqueues of this key, and for nothing else.
create function pgqueue._seize_key(
  queue text,
  unique_key text,
  holder bigint,
  job bigint,
  until timestamptz,
  now_ timestamptz) returns boolean
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_until timestamptz;
begin
  select k.until into v_until from pgqueue.job_key k
  where k.queue = _seize_key.queue and k.unique_key = _seize_key.unique_key and k.job_id = holder for update;
  if not found or v_until > now_ or v_until is null and not exists (select from pgqueue.left_key l where l.job_id = holder) then
    return false;
  end if;
  update pgqueue.job_key k set job_id = job, until = _seize_key.until
  where k.queue = _seize_key.queue and k.unique_key = _seize_key.unique_key and k.job_id = holder;
  delete from pgqueue.left_key l where l.job_id in (holder, job);
  return true;
end $$;
