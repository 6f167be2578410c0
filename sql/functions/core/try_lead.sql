create function pgqueue.try_lead()
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from pgqueue._locks_held('lead') h where h = 1)
    or pg_try_advisory_lock(pgqueue._lock_class('lead'), 1);
end $$;

comment on function pgqueue.try_lead is
'Tries to make this session the leader, who runs maintain for all; true when it is. It stays so until stop_leading or the end of the session. Never call it
through a transaction pooler. A lost or doubled leader harms nothing: every duty is safe to run twice.';
