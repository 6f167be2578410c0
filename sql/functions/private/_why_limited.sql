-- What `why` says of a queued job whose queue gives out nothing just now because of a limit of its own. Null when there is room.
create function pgqueue._why_limited(job pgqueue.job_info, queue pgqueue.queue, running bigint) returns text
language plpgsql
as $$
begin
  if (queue).max_running <= running then
    return format('Queue %s runs %s jobs already, its max_running is %s.', (job).queue, running, (queue).max_running);
  end if;
  return pgqueue._why_rate((job).queue);
end $$;
