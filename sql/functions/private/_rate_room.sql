-- How many more jobs of a queue its rate lets start now. Exact because the calling claim holds the queue's limiter, and notes what it starts (_starts) before it lets go. Who looks at `now` starts
-- later than that, when fewer count: so no window of the period's length, wherever it begins, holds more than the limit. Two looks at the index, however many starts
-- there are, and both at rows inside of the window, which nothing deletes: what has been deleted before it is in nobody's way.
create function pgqueue._rate_room(queue text) returns integer
language plpgsql
as $$
declare
  v_limit integer;
  v_since timestamptz;
  v_used bigint;
begin
  select q.rate_limit, pgqueue._now() - coalesce(q.rate_period, '1 second') into v_limit, v_since from pgqueue.queue q where q.name = _rate_room.queue;
  if v_limit is null then
    return 2147483647;
  end if;
  v_used := (
    select r.total from pgqueue.rate_start r
    where r.queue = _rate_room.queue and r.started_at > v_since order by r.queue desc, r.started_at desc, r.total desc limit 1)
    - (
    select r.total - r.jobs from pgqueue.rate_start r
    where r.queue = _rate_room.queue and r.started_at > v_since order by r.queue, r.started_at, r.total limit 1);
  return greatest(v_limit - coalesce(v_used, 0), 0);
end $$;
