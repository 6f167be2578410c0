-- What `why` says of a job that does not wait in its queue: it is final, it runs, or it waits for a time. Null for the others.
create function pgqueue._why_moved(job pgqueue.job_info, name text) returns text
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
begin
  if (job).state in ('succeeded', 'failed', 'cancelled') then
    return format('%s is final: it %s%s at %s.', name,
      case (job).state when 'cancelled' then 'was cancelled' else (job).state end, coalesce(' (' || (job).reason || ')', ''),
      to_char((job).finished_at, 'YYYY-MM-DD HH24:MI:SS OF'));
  elsif (job).state = 'running' and (job).worker_id = 0 then
    return (
      select format('Item %s is active: a client claimed it %s ago, and last said %s ago that it executes it.', (job).id,
        date_trunc('milliseconds', v_now - i.claimed_at), date_trunc('milliseconds', v_now - i.heartbeat_at))
      from pgqueue.keyed_item i where i.job_id = (job).id);
  elsif (job).state = 'running' then
    return format('%s is running: worker %s claimed it %s ago%s.', name, (job).worker_id, date_trunc('milliseconds', v_now - (job).claimed_at),
      case when (job).cancel_requested then ', and was asked to cancel it' else '' end);
  elsif (job).state = 'scheduled' and (job).run_at > v_now then
    return format('%s waits for %s (in %s)%s.', name, to_char((job).run_at, 'YYYY-MM-DD HH24:MI:SS OF'),
      date_trunc('milliseconds', (job).run_at - v_now),
      case when (job).attempt > 0 then format(', to try again after attempt %s of %s', (job).attempt, (job).max_attempts) else '' end);
  elsif (job).state = 'scheduled' then
    return format('%s has been due since %s, but no upkeep has promoted it: start a worker, or call pgqueue.maintain() from cron.', name,
      to_char((job).run_at, 'YYYY-MM-DD HH24:MI:SS OF'));
  end if;
  return null;
end $$;
