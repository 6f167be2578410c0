-- The lanes of these queues, in the order in which a claim takes from them; not those of paused queues. Doubles, which wait for upkeep, are one lane.
-- For a few queues: their rank is looked up by walking the array. Inlined: keep it one plain query.
create function pgqueue._lanes(queues text[]) returns setof pgqueue.lane_in_view
language sql stable
as $$
  select l.queue::text, l.priority, l.grouped, l.most_running, pgqueue._forget(l.history), l.special,
    pgqueue._floor_of(l.cursor, l.owner), pgqueue._expiry_of(l.cursor, l.owner)
  from (
    select distinct on (l.priority, array_position($1, l.queue), l.queue) l.queue, l.priority, l.grouped, q.most_running, q.history,
      q.timeout is not null or q.max_attempts is not null as special,
      current_setting(pgqueue._cursor_name('ready', l.queue, l.priority), true) as cursor,
      pgqueue._cursor_owner('ready', l.queue, l.priority) as owner
    from pgqueue.lane l left join pgqueue.queue q on q.name = l.queue
    where l.queue = any($1) and q.paused_at is null
    order by l.priority desc, array_position($1, l.queue), l.queue, l.grouped desc) l;
$$;
