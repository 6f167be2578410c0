create function pgqueue.worker_wake()
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_unlock_shared(pgqueue._lock_class('sleep'), h), pg_advisory_unlock_shared(pgqueue._lock_class('asleep'), h)
  from pgqueue._locks_held('sleep') h;
end $$;

comment on function pgqueue.worker_wake is
'Ends worker_sleep on this session: enqueues are silent again.';
