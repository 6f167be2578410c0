-- When a queue whose rate is used up may start a job again; null when it may now.
create function pgqueue._rate_due(queue text) returns timestamptz
language plpgsql
as $$
declare
  v_period interval;
begin
  if pgqueue._rate_room(queue) > 0 then
    return null;
  end if;
  select coalesce(q.rate_period, '1 second') into v_period from pgqueue.queue q where q.name = _rate_due.queue;
  return v_period + (
    select r.started_at from pgqueue.rate_start r
    where r.queue = _rate_due.queue and r.started_at > pgqueue._now() - v_period order by r.queue, r.started_at, r.total limit 1);
end $$;
