-- What becomes of a job with a unique key that goes back to where it waits, having failed, been released or lost its worker: null when it holds its key, or has taken it
-- again; 'superseded' when a live job holds the key, which does the work instead; 'uncertain' when an enqueue of the key is under way. That may take as long as a user's
-- transaction, and a settle does not wait for one: the job is put off for a moment, without its key, and asks again when it is due. The same once ten were found so in one
-- transaction: they would keep a batch for ten milliseconds each.
--
-- Also asked of jobs that keep their key until the end: one whose arguments were replaced while it ran lost it to the job that carries the new ones.
create function pgqueue._retake_key(job bigint) returns text
language plpgsql
set lock_timeout = '10ms'
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_put_off integer := coalesce(nullif(current_setting('pgqueue.put_off', true), '')::integer, 0);
  v_job record;
begin
  perform from pgqueue.job_key k where k.job_id = job for update skip locked;
  if found then
    delete from pgqueue.left_key l where l.job_id = job;
    return null;
  end if;
  if v_put_off >= 10 then
    return 'uncertain';
  end if;
  select j.queue, j.unique_key into v_job from pgqueue.job j where j.id = job;
  if v_job.unique_key is null then
    return null;  -- a query, whose identity others may not join any more
  end if;
  begin
    return case when pgqueue._take_key(v_job.queue, v_job.unique_key, job) <> job then 'superseded' end;
  exception
    when lock_not_available or serialization_failure then
      perform set_config('pgqueue.put_off', (v_put_off + 1)::text, true);
      return 'uncertain';
  end;
end $$;
