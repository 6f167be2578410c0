-- Addresses of up to n rows of ready from these lanes, taken in their order, and locked; and the number of the first lane that had any. All the lanes in one statement, each from its cursor: the
-- limit ends it at the lane that fills it. Sweeps are those of claim, lane by lane; of more lanes than there are places for cursors, those that had work are
-- remembered. Lanes with limits or groups go one by one.
create function pgqueue._pick(
  in lanes pgqueue.lane_in_view[],
  in n integer,
  in urgent boolean,
  out picked tid[],
  out first_lane bigint)
language plpgsql
as $$
declare
  v_clock float8 := date_part('epoch', clock_timestamp());
  v_older tid[];
  v_seen bigint[];
  v_at bigint[];
  v_last bigint;
  v_back boolean := false;
begin
  if exists (select from unnest(lanes) l where l.grouped or l.max_running is not null) then
    picked := pgqueue._pick_limited(lanes, n, urgent);
    return;
  end if;
  select array_agg(p.ctid), array_agg(p.seq), array_agg(p.ord) into picked, v_seen, v_at
  from (
    select r.ctid, r.seq, l.ord
    from unnest(lanes) with ordinality l(queue, priority, grouped, max_running, forget, special, floor, expires, ord)
    cross join lateral (
      select r.ctid, r.seq from pgqueue.ready r
      where r.queue = l.queue and r.priority = l.priority and r.seq >= case when v_clock > l.expires + 1 and not urgent then 0 else l.floor end
      order by r.seq limit n for update skip locked) r
    limit n) p;
  v_last := case when cardinality(v_at) = n then v_at[n] else cardinality(lanes) end;

  if coalesce(cardinality(picked), 0) < n and not (urgent and picked is not null) then
    v_older := array(
      select r.ctid
      from unnest(lanes) l
      cross join lateral (
        select r.ctid from pgqueue.ready r
        where r.queue = l.queue and r.priority = l.priority and r.seq < l.floor
        order by r.seq limit n for update skip locked) r
      where l.floor > 0 and (urgent or v_clock between l.expires and l.expires + 1)
      limit n - coalesce(cardinality(picked), 0));
    picked := v_older || picked;
    v_back := coalesce(cardinality(picked), 0) < n;
  end if;

  perform set_config(pgqueue._cursor_name('ready', l.queue, l.priority),
    pgqueue._cursor_text('ready', l.queue, l.priority, coalesce(l.seen, (select s.last_value from pgqueue.job_id s)),
      case when l.swept then pgqueue._sweep_again(v_clock) else l.expires end), false)
  from (
    select l.queue, l.priority, l.expires, s.seen, v_back and (urgent or v_clock > l.expires) or not urgent and v_clock > l.expires + 1 as swept
    from unnest(lanes) with ordinality l(queue, priority, grouped, max_running, forget, special, floor, expires, ord)
    left join (select e.at, min(e.seq) as seen from unnest(v_at, v_seen) e(at, seq) group by e.at) s on s.at = l.ord
    where l.ord <= v_last) l
  where l.seen is not null or l.swept and cardinality(lanes) <= 256;
  first_lane := v_at[1];
end $$;
