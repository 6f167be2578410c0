-- Whether a queue has jobs that a claim might find. From the session's cursors: see _cursor.
create function pgqueue._waits(queue text) returns boolean
language plpgsql
as $$
declare
  v_lane record;
  v_start float8;
  v_cursor record;
  v_first bigint;
begin
  for v_lane in
    select 'ready' as purpose, l.priority from (select distinct l.priority from pgqueue.lane l where l.queue = _waits.queue) l
    union all select 'arrival', 0
  loop
    v_start := date_part('epoch', clock_timestamp());
    select * into v_cursor from pgqueue._cursor(v_lane.purpose, _waits.queue, v_lane.priority);
    if v_start >= v_cursor.expires then
      v_cursor.floor := 0;
    end if;
    if v_lane.purpose = 'ready' then
      select r.seq into v_first from pgqueue.ready r
      where r.queue = _waits.queue and r.priority = v_lane.priority and r.seq >= v_cursor.floor order by r.seq limit 1;
    else
      select a.seq into v_first from pgqueue.arrival a where a.queue = _waits.queue and a.seq >= v_cursor.floor order by a.seq limit 1;
    end if;
    perform pgqueue._set_cursor(v_lane.purpose, _waits.queue, v_lane.priority, v_first, case when v_start >= v_cursor.expires then v_start end, v_cursor.expires);
    if v_first is not null then
      return true;
    end if;
  end loop;
  return false;
end $$;
