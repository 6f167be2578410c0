create function pgqueue.unwatch()
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from pgqueue._locks_held('wait')) then
    perform pg_advisory_unlock_shared(pgqueue._lock_class('wait'), 0);
  end if;
end $$;

comment on function pgqueue.unwatch is
'Ends what watch began on this session: it waits for no job any more.';
