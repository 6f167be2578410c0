-- How many jobs of a queue wait to be started, counted up to `most`: all that are due, wherever they stand, and none that wait for a time, another job or a release. From the session's cursors (see _cursor), so
-- that what has been claimed is not walked again and again.
create function pgqueue._queued(queue text, most integer) returns integer
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_lane record;
  v_start float8;
  v_cursor record;
  v_first bigint;
  v_rows integer;
  v_count integer;
begin
  v_count := (select count(*) from (select from pgqueue.blocked b where b.queue = _queued.queue order by b.queue, b.group_key, b.priority desc, b.seq limit most) b)
    + (select count(*) from (select from pgqueue.suspect s where s.queue = _queued.queue order by s.queue, s.seq limit most) s)
    + (select count(*) from (select from pgqueue.line l where l.queue = _queued.queue order by l.queue, l.owner, l.priority desc, l.job_id limit most) l);
  for v_lane in
    select 'arrival' as purpose, 0 as priority
    union all select 'ready', l.priority from (select distinct l.priority from pgqueue.lane l where l.queue = _queued.queue) l
  loop
    exit when v_count >= most;
    v_start := date_part('epoch', clock_timestamp());
    select * into v_cursor from pgqueue._cursor(v_lane.purpose, _queued.queue, v_lane.priority);
    if v_start >= v_cursor.expires then
      v_cursor.floor := 0;
    end if;
    if v_lane.purpose = 'ready' then
      select min(r.seq), count(*) into v_first, v_rows
      from (
        select r.seq from pgqueue.ready r
        where r.queue = _queued.queue and r.priority = v_lane.priority and r.seq >= v_cursor.floor order by r.seq limit most - v_count) r;
    else
      select min(a.seq), count(a.job_id) into v_first, v_rows
      from (
        select a.seq, a.job_id from pgqueue.arrival a
        where a.queue = _queued.queue and a.seq >= v_cursor.floor order by a.seq limit most - v_count) a;
    end if;
    perform pgqueue._set_cursor(v_lane.purpose, _queued.queue, v_lane.priority, v_first, case when v_start >= v_cursor.expires then v_start end, v_cursor.expires);
    v_count := v_count + v_rows;
  end loop;
  return v_count;
end $$;
