-- Tells workers that sleep on a queue that it has work. A commit with a NOTIFY takes a cluster-wide lock, so under load nothing is sent:
-- a sleeper holds two shared advisory locks on its listening connection, and whoever can have one of them exclusively, for a moment, knows that
-- nobody sleeps. Who cannot have the first may have met another enqueue there; that one is told from a sleeper by not letting the lock be shared,
-- and by not being at the second lock too. A hint too many is harmless all the same.
-- A full notification queue would make the caller's commit fail: then better no hint; the workers' poll finds the job.
create function pgqueue._wake(queue text) returns void
language plpgsql
as $$
declare
  v_class integer := pgqueue._lock_class('sleep');
  v_key integer := hashtext(_wake.queue);
begin
  if pg_try_advisory_lock(v_class, v_key) then
    perform pg_advisory_unlock(v_class, v_key);
    return;
  end if;
  if not pg_try_advisory_lock_shared(v_class, v_key) then
    return;
  end if;
  perform pg_advisory_unlock_shared(v_class, v_key);
  v_class := pgqueue._lock_class('asleep');
  for v_look in 1..2 loop
    if pg_try_advisory_lock(v_class, v_key) then
      perform pg_advisory_unlock(v_class, v_key);
      return;
    end if;
  end loop;
  if pg_notification_queue_usage() < 0.5 then
    perform pg_notify('pgqueue_wake', _wake.queue);
  end if;
end $$;
