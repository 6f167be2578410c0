create function pgqueue.stop_leading()
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from pgqueue._locks_held('lead') h where h = 1)
    and pg_advisory_unlock(pgqueue._lock_class('lead'), 1);
end $$;

comment on function pgqueue.stop_leading is
'Gives leadership up; false when this session was not the leader.';
