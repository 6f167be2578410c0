-- What a program declares becomes what is scheduled. What it declared the last time is kept beside each schedule: as long as that is what it declares now, nothing is
-- touched, so what operators changed at run time stays. Each declaration has its own failure; one that is refused leaves what was there before.
create function pgqueue.sync_schedules(app text, declared jsonb)
returns table (name text, action text, error text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
  v_declared jsonb;
  v_new pgqueue.schedule;
  v_old pgqueue.schedule;
  v_names text[] := array[]::text[];
begin
  perform pgqueue._check_name('app', app, 200);
  if declared is null or jsonb_typeof(declared) <> 'array' then
    perform pgqueue._refuse('PQ001', format('declared is %s, not an array', coalesce(jsonb_typeof(declared), 'null')),
      'Give an array of objects, such as [{"name": "report", "cron": "@daily", "kind": "report"}].');
  end if;
  -- By name: two workers that start together take the rows in the same order.
  for v_declared in
    select d from jsonb_array_elements(sync_schedules.declared) with ordinality e(d, nth) order by d ->> 'name', nth
  loop
    name := v_declared ->> 'name';
    error := null;
    begin
      if v_declared ? 'refused' then
        perform pgqueue._refuse('PQ001', v_declared ->> 'refused', 'The program could not make this declaration.');
      elsif name = any(v_names) then
        perform pgqueue._refuse('PQ001', format('schedule %L is declared twice', name), 'Give each its own name.');
      end if;
      select s.* into v_old from pgqueue.schedule s where s.name = v_declared ->> 'name' for update;
      if v_old.declared_by = app and v_old.declared = v_declared then
        action := 'unchanged';
      else
        v_new := pgqueue._declared_schedule(v_declared);
        v_new.declared_by := app;
        v_new.declared := v_declared;
        action := (select p.change from pgqueue._put_schedule(pgqueue._check_schedule(v_new)) p);
      end if;
    exception
      when others then
        action := 'refused';
        get stacked diagnostics error = message_text;
    end;
    v_names := array_remove(v_names || name, null);  -- a null would be equal to no name and unequal to none
    return next;
  end loop;
  for name in
    delete from pgqueue.schedule s where s.declared_by = app and not s.name = any(v_names) returning s.name
  loop
    action := 'removed';
    error := null;
    return next;
  end loop;
end $$;

comment on function pgqueue.sync_schedules is
'For programs that declare schedules, called when they start: adds and changes what is declared, removes what this app declared before and does not any more, and says what it did
with each: added, changed, unchanged, removed or refused, with the error. declared: an array of objects whose keys are the parameters of schedule. What is declared as it was the last
time is left as operators have made it; a pause stays in any case. Schedules of others are never touched. Errors: PQ001 for a bad app, or no array.';
