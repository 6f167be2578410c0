-- Enqueues the job of one tick, or hands in its query or script. Its headers say of which, in UTC whatever the session's time zone is.
create function pgqueue._enqueue_tick(schedule pgqueue.schedule, tick timestamptz) returns bigint
language plpgsql
as $$
begin
  if schedule.kind in ('sql.query', 'sql.script') then
    return pgqueue._submit_tick(schedule);
  end if;
  return (
    select e.id
    from pgqueue.enqueue(
      kind => schedule.kind,
      args => schedule.args,
      queue => schedule.queue,
      priority => schedule.priority,
      unique_key => schedule.unique_key,
      group_key => schedule.group_key,
      max_attempts => schedule.max_attempts,
      timeout => schedule.timeout,
      expires_in => schedule.expires_in,
      heartbeat => schedule.heartbeat,
      backoff => schedule.backoff,
      headers => coalesce(schedule.headers, '{}') || jsonb_build_object('schedule', schedule.name, 'tick',
        (to_jsonb(tick at time zone 'UTC') #>> '{}') || '+00:00'),
      unique_by => schedule.unique_by,
      unique_until => schedule.unique_until,
      unique_for => schedule.unique_for,
      on_duplicate => schedule.on_duplicate,
      on_success => schedule.on_success,
      on_error => schedule.on_error) e);
end $$;
