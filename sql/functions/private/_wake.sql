-- Tells workers that sleep on a queue that it has work. A commit with a NOTIFY takes a cluster-wide lock, so under load nothing is sent:
-- a sleeper holds two shared advisory locks on its listening connection, and whoever can have the first exclusively, for a moment, knows that
-- nobody sleeps. Who cannot may have met another enqueue there: that one cannot be shared with either, or has just left; so the rare rest is settled
-- by looking the second lock up, which only sleepers ever hold, in the list of locks: exact, and fifty microseconds dear.
-- A full notification queue would make the caller's commit fail: then better no hint; the workers' poll finds the job.
create function pgqueue._wake(queue text) returns void
language plpgsql
as $$
declare
  v_class integer := pgqueue._lock_class('sleep');
  v_key integer := hashtext(_wake.queue);
begin
  if pgqueue._nobody_sleeps(queue) then
    return;
  end if;
  if not pg_try_advisory_lock_shared(v_class, v_key) then
    return;
  end if;
  perform pg_advisory_unlock_shared(v_class, v_key);
  if not exists (
    select from pg_catalog.pg_locks l
    where l.locktype = 'advisory' and l.granted and l.classid::bigint::bit(32)::integer = pgqueue._lock_class('asleep')
      and l.objid::bigint::bit(32)::integer = v_key and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
  then
    return;
  end if;
  if pg_notification_queue_usage() < 0.5 then
    perform pg_notify('pgqueue_wake', _wake.queue);
  end if;
end $$;
