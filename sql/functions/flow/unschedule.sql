create function pgqueue.unschedule(name text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pgqueue._check_name('name', unschedule.name, 200);
  delete from pgqueue.schedule s where s.name = unschedule.name;
  return found;
end $$;

comment on function pgqueue.unschedule is
'Removes a schedule; false when there was none. Jobs it has enqueued stay. One that a program declares comes back when a worker of that program starts: pause it instead. Errors: PQ001.';
