-- Tells workers that sleep on a queue that it has work. A commit with a NOTIFY takes a cluster-wide lock, so under load nothing is sent:
-- a sleeper holds a shared advisory lock on its listening connection, and whoever can have that lock exclusively, for a moment, knows that
-- nobody sleeps. Two probes may meet and take each other for a sleeper; the second look makes that rare, and a hint too many is harmless.
-- A full notification queue would make the caller's commit fail: then better no hint; the workers' poll finds the job.
create function pgqueue._wake(queue text) returns void
language plpgsql
as $$
declare
  v_class integer := pgqueue._lock_class('sleep');
  v_key integer := hashtext(_wake.queue);
begin
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
