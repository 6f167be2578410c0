-- Enqueues the job of one tick, or says that its key is held, if the schedule is one that is to be told: to try that tick again would be of no use, and one that comes later may find the key free. What
-- else goes wrong is raised.
create function pgqueue._try_tick(schedule pgqueue.schedule, tick timestamptz, out job bigint, out problem text)
language plpgsql
as $$
begin
  if coalesce(schedule.on_duplicate, 'return') = 'return' then
    job := pgqueue._enqueue_tick(schedule, tick);
    return;
  end if;
  begin
    job := pgqueue._enqueue_tick(schedule, tick);
  exception
    when sqlstate 'PQ005' then
      get stacked diagnostics problem = message_text;
      problem := format('the tick of %s was passed over: %s (PQ005)', to_char(tick at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC'), problem);
  end;
end $$;
