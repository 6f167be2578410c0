-- Tells those who wait for these jobs that they are final. One probe when nobody waits for anything, which is the usual case.
create function pgqueue._announce(jobs bigint[]) returns void
language plpgsql
as $$
begin
  if pgqueue._nobody_waits() then
    return;
  end if;
  if pg_notification_queue_usage() < 0.5 then
    perform pg_notify('pgqueue_done', w.job_id::text)
    from (select distinct w.job_id from pgqueue.waiter w where w.job_id = any(jobs)) w;
  end if;
end $$;
