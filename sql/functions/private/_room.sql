-- How many more jobs of a queue may start, by max_running and by its rate; null means no end. Exact because the calling claim holds the queue's limiter, so that the sum over the leases
-- misses none; it is held until the claim's transaction ends, which a worker's does at once.
--
-- While a session pins a snapshot, leases that have ended stay in the way. So the sum starts from a cursor (see _cursor): the oldest lease of the queue that was there at the last
-- look, or the number (see _lease_number) that had been drawn last. Younger ones have greater numbers, as they are drawn under the limiter. A sweep finds what was claimed before there was one. The cursor is
-- kept under a priority that no lane has any use for, lest it share a setting with a lane of its own queue.
create function pgqueue._room(queue text, max_running integer) returns integer
language plpgsql
as $$
declare
  c_apart constant integer := -30000;
  v_start float8 := date_part('epoch', clock_timestamp());
  v_first bigint;
  v_running bigint;
  v_expires float8;
begin
  if max_running is null then
    return 2147483647;
  elsif max_running = 2147483647 then
    return pgqueue._rate_room(queue);
  end if;
  with cursor as materialized (
    select pgqueue._floor_of(s.text, s.owner) as floor, pgqueue._expiry_of(s.text, s.owner) as expires
    from (
      select current_setting(pgqueue._cursor_name('room', _room.queue, c_apart), true) as text,
        pgqueue._cursor_owner('room', _room.queue, c_apart) as owner) s)
  select min(l.id), coalesce(sum(cardinality(l.job_ids)), 0), (select c.expires from cursor c) into v_first, v_running, v_expires
  from pgqueue.lease l
  where l.queue = _room.queue and l.id >= (select case when v_start >= c.expires then 0 else c.floor end from cursor c);
  perform set_config(pgqueue._cursor_name('room', queue, c_apart),
    pgqueue._cursor_text('room', queue, c_apart, coalesce(v_first, (select s.last_value << 16 from pgqueue.lease_id s)),
      case when v_start >= v_expires then pgqueue._sweep_again(v_start) else v_expires end), false);
  return least(greatest(max_running - v_running, 0), pgqueue._rate_room(queue));
end $$;
