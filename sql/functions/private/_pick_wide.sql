-- As _pick, for many queues or lanes. Listing and probing thousands of lanes at every claim would cost more than the jobs: so the session remembers
-- a window, the first lanes that had work and those after them, and looks no further while it has some, a few lanes at a time. It expires after twenty
-- times what the listing cost: then a lane outside of it that has better work is found. A claim that finds nothing in the window, or is urgent, lists everything. Where
-- anything has limits there is no window, since limiters must be met in one order.
create function pgqueue._pick_wide(queues text[], n integer, urgent boolean) returns tid[]
language plpgsql
as $$
declare
  c_window constant integer := 256;
  c_step constant integer := 8;
  v_clock float8 := date_part('epoch', clock_timestamp());
  v_whose text := hash_array_extended(queues, 0)::text;
  v_setting text := coalesce(current_setting('pgqueue.view', true), '');
  v_hint text[];
  v_at integer := 3;
  v_lanes pgqueue.lane_in_view[];
  v_picked tid[];
  v_first bigint;
begin
  if pgqueue._window(v_setting, queues, v_clock) is not null and not urgent then
    v_hint := string_to_array(v_setting, E'\x1e');
    while v_at <= cardinality(v_hint) loop
      v_lanes := array(
        with glance as materialized (
          select w.parts[1] as queue, w.parts[2]::smallint as priority, w.ord,
            current_setting(pgqueue._cursor_name('ready', w.parts[1], w.parts[2]::smallint), true) as cursor,
            pgqueue._cursor_owner('ready', w.parts[1], w.parts[2]::smallint) as owner
          from (
            select string_to_array(e.lane, E'\x1f') as parts, e.ord from unnest(v_hint[v_at:v_at + c_step - 1]) with ordinality e(lane, ord) offset 0) w)
        select (g.queue, g.priority, q.paused_at is not null, q.most_running, pgqueue._forget(q.history),
          q.timeout is not null or q.max_attempts is not null,
          pgqueue._floor_of(g.cursor, g.owner), pgqueue._expiry_of(g.cursor, g.owner))::pgqueue.lane_in_view
        from glance g
        left join pgqueue.queue q on q.name = g.queue
        order by g.ord);
      -- One that is paused or limited now is for the whole list to judge.
      exit when exists (select from unnest(v_lanes) l where l.grouped or l.max_running is not null);
      select p.picked, p.first_lane into v_picked, v_first from pgqueue._pick(v_lanes, n, urgent) p;
      if cardinality(v_picked) > 0 then
        -- Short of n: the jobs there are, and the whole list next time.
        perform set_config('pgqueue.view', case
          when cardinality(v_picked) < n then v_whose || E'\x1e0'
          else array_to_string(v_hint[1:2] || v_hint[v_at + v_first::integer - 1:], E'\x1e') end, false);
        return v_picked;
      end if;
      v_at := v_at + c_step;
    end loop;
  end if;

  v_lanes := array(
    select (l.queue, l.priority, l.grouped, l.max_running, l.forget, l.special, l.floor, l.expires)::pgqueue.lane_in_view
    from pgqueue._lanes_ranked(queues) l);
  if cardinality(v_lanes) = 0 then
    return null;
  end if;
  select p.picked, p.first_lane into v_picked, v_first from pgqueue._pick(v_lanes, n, urgent) p;
  if cardinality(v_lanes) <= 32 or exists (select from unnest(v_lanes) l where l.grouped or l.max_running is not null) then
    if pgqueue._has_window(v_setting, queues) then
      perform set_config('pgqueue.view', '', false);
    end if;
  elsif v_first is null or urgent then
    perform set_config('pgqueue.view', v_whose || E'\x1e0', false);
  else
    perform set_config('pgqueue.view', array_to_string(
      array[v_whose, (v_clock + greatest(0.05, 21 * (date_part('epoch', clock_timestamp()) - v_clock)))::text]
        || array(select l.queue || E'\x1f' || l.priority::text from unnest(v_lanes[v_first:v_first + c_window - 1]) l), E'\x1e'), false);
  end if;
  return v_picked;
end $$;
