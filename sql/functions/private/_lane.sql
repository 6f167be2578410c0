-- One lane, as _lanes gives it; nothing when its queue is paused. Inlined: keep it one plain query.
create function pgqueue._lane(queue text, priority smallint) returns setof pgqueue.lane_in_view
language sql stable
as $$
  select l.queue, l.priority, false, l.most_running, pgqueue._forget(l.history), l.special, pgqueue._floor_of(l.cursor, l.owner),
    pgqueue._expiry_of(l.cursor, l.owner)
  from (
    select $1 as queue, $2 as priority, q.most_running, q.history, q.timeout is not null or q.max_attempts is not null as special,
      current_setting(pgqueue._cursor_name('ready', $1, $2), true) as cursor, pgqueue._cursor_owner('ready', $1, $2) as owner
    from (select) one left join pgqueue.queue q on q.name = $1
    where q.paused_at is null
    offset 0) l;
$$;
