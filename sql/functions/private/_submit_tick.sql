-- Hands in what a schedule of kind sql.query or sql.script has for each tick.
create function pgqueue._submit_tick(schedule pgqueue.schedule) returns bigint
language plpgsql
as $$
declare
  v_call record;
begin
  select * into v_call from pgqueue._tick_call(schedule.args);
  if schedule.kind = 'sql.script' then
    return (
      select s.id
      from pgqueue.submit_script(
        document => v_call.document,
        owner => v_call.owner,
        queue => schedule.queue,
        priority => schedule.priority,
        datasource => v_call.datasource,
        role => v_call.role,
        settings => v_call.settings,
        on_success => schedule.on_success,
        on_error => schedule.on_error) s);
  end if;
  return (
    select s.id
    from pgqueue.submit_query(
      sql => v_call.sql,
      params => v_call.params,
      owner => v_call.owner,
      queue => schedule.queue,
      datasource => v_call.datasource,
      role => v_call.role,
      settings => v_call.settings,
      timeout => v_call.timeout,
      wait_timeout => v_call.wait_timeout,
      max_age => v_call.max_age,
      "unique" => v_call."unique",
      read_only => v_call.read_only,
      batch_rows => v_call.batch_rows,
      max_rows => v_call.max_rows,
      max_bytes => v_call.max_bytes,
      ttl => v_call.ttl,
      priority => schedule.priority,
      on_success => schedule.on_success,
      on_error => schedule.on_error) s);
end $$;
