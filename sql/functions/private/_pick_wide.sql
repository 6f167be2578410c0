-- As _pick, for many queues or lanes. Listing and probing thousands of lanes at every claim would cost more than the jobs: so the session remembers
-- a window, the first lanes that had work and those after them, and looks no further while it has some. It expires as cursors do: by then a lane outside of it
-- that has better work is found. A claim that finds nothing in the window, or is urgent, lists everything. Where anything has limits
-- there is no window, since limiters must be met in one order.
create function pgqueue._pick_wide(queues text[], n integer, urgent boolean) returns tid[]
language plpgsql
as $$
declare
  c_size constant integer := 32;
  v_clock float8 := date_part('epoch', clock_timestamp());
  v_hint text[] := string_to_array(current_setting('pgqueue.view', true), E'\x1e');
  v_whose text := hashtextextended(array_to_string(queues, E'\x1f'), 0)::text;
  v_lanes pgqueue.lane_in_view[];
  v_picked tid[];
  v_first bigint;
begin
  if v_hint[1] = v_whose and v_hint[2]::float8 > v_clock and not urgent then
    v_lanes := array(
      with window_ as materialized (
        select w.parts[1] as queue, w.parts[2]::smallint as priority, w.ord,
          current_setting(pgqueue._cursor_name('ready', w.parts[1], w.parts[2]::smallint), true) as cursor,
          pgqueue._cursor_owner('ready', w.parts[1], w.parts[2]::smallint) as owner
        from (select string_to_array(e.lane, E'\x1f') as parts, e.ord from unnest(v_hint[3:]) with ordinality e(lane, ord) offset 0) w)
      select (l.queue, l.priority, false, q.max_running, pgqueue._forget(q.history), q.timeout is not null or q.max_attempts is not null,
        pgqueue._floor_of(l.cursor, l.owner), pgqueue._expiry_of(l.cursor, l.owner))::pgqueue.lane_in_view
      from window_ l
      left join pgqueue.queue q on q.name = l.queue
      where q.paused_at is null
      order by l.ord);
    if cardinality(v_lanes) > 0 and not exists (select from unnest(v_lanes) l where l.max_running is not null) then
      v_picked := pgqueue._pick(v_lanes, n, urgent);
      if cardinality(v_picked) > 0 then
        if cardinality(v_picked) < n then
          perform set_config('pgqueue.view', '-', false);
        end if;
        return v_picked;
      end if;
    end if;
  end if;

  v_lanes := array(
    select (l.queue, l.priority, l.grouped, l.max_running, l.forget, l.special, l.floor, l.expires)::pgqueue.lane_in_view
    from pgqueue._lanes_ranked(queues) l);
  if cardinality(v_lanes) = 0 then
    return null;
  end if;
  v_picked := pgqueue._pick(v_lanes, n, urgent);
  if cardinality(v_lanes) <= c_size or exists (select from unnest(v_lanes) l where l.grouped or l.max_running is not null) then
    perform set_config('pgqueue.view', '', false);
  elsif v_picked is null or urgent then
    perform set_config('pgqueue.view', '-', false);
  else
    select l.ord into v_first
    from pgqueue.ready r
    join unnest(v_lanes) with ordinality l(queue, priority, grouped, max_running, forget, special, floor, expires, ord)
      on l.queue = r.queue and l.priority = r.priority
    where r.ctid = v_picked[1];
    perform set_config('pgqueue.view', array_to_string(
      array[v_whose, (pgqueue._sweep_again(v_clock) - 0.15)::text]
        || array(select l.queue || E'\x1f' || l.priority::text from unnest(v_lanes[v_first:v_first + c_size - 1]) l), E'\x1e'), false);
  end if;
  return v_picked;
end $$;
