-- Does to one job what the function for one job does, as a part of a batch: what that refuses, or what takes a lock that somebody keeps, harms no other job of the batch. True: done; false: refused;
-- null: locked by somebody else. No wait is long, so two batches that meet, or a batch and a worker, cannot stand in each other's way for good, whatever the order of their locks.
create function pgqueue._try_on(job bigint, action text, subject jsonb) returns boolean
language plpgsql
set lock_timeout = '50ms'
as $$
declare
  v_changed boolean;
begin
  case action
    when 'cancel' then
      select c.changed into v_changed from pgqueue.cancel(job, subject #>> '{}') c;
    when 'retry' then
      select c.changed into v_changed from pgqueue.retry(job) c;
      if subject <> 'null' then
        perform pgqueue.reschedule(job, (subject #>> '{}')::timestamptz);
      end if;
    when 'set_priority' then
      perform pgqueue.set_priority(job, subject::integer);
    when 'move' then
      perform pgqueue._move(job, subject #>> '{}');
  end case;
  return coalesce(v_changed, true);
exception
  when sqlstate 'PQ001' or sqlstate 'PQ002' or sqlstate 'PQ005' or sqlstate 'PQ008' or unique_violation then
    return false;
  when lock_not_available or deadlock_detected then
    return null;
end $$;
