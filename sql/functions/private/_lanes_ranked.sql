-- As _lanes, for many queues: more of them than there are places for cursors come without, since their lanes would only drive each other out.
create function pgqueue._lanes_ranked(queues text[]) returns setof pgqueue.lane_in_view
language sql stable
as $$
  select l.queue::text, l.priority, l.grouped, l.most_running, pgqueue._forget(l.history), l.special,
    pgqueue._floor_of(l.cursor, l.owner), pgqueue._expiry_of(l.cursor, l.owner)
  from (
    select l.queue, l.priority, l.grouped, q.most_running, q.history, q.timeout is not null or q.max_attempts is not null as special, r.rank,
      case when cardinality($1) <= 256 then current_setting(pgqueue._cursor_name('ready', l.queue, l.priority), true) end as cursor,
      case when cardinality($1) <= 256 then pgqueue._cursor_owner('ready', l.queue, l.priority) end as owner
    from (
      select l.queue, l.priority, bool_or(l.grouped) as grouped from pgqueue.lane l where l.queue = any($1) group by l.queue, l.priority) l
    join (select u.queue, min(u.ord) as rank from unnest($1) with ordinality u(queue, ord) group by u.queue) r on r.queue = l.queue
    left join pgqueue.queue q on q.name = l.queue
    where q.paused_at is null) l
  order by l.priority desc, l.rank;
$$;
