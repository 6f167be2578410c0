-- A turn that had been drawn by a time, from `first` on: the last it can find. Jobs' rows tell when their ids were drawn, about: halves the distance to the newest until it is small, by looks at the primary key.
create function pgqueue._turn_before(time_ timestamptz, first bigint) returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_low bigint := first - 1;
  v_high bigint := (select s.last_value from pgqueue.job_id s);
  v_middle bigint;
  v_at timestamptz;
begin
  while v_high > v_low loop
    v_middle := v_low + (v_high - v_low + 1) / 2;
    select j.created_at into v_at from pgqueue.job j where j.id >= v_middle order by j.id limit 1;
    if v_at <= time_ then
      v_low := v_middle;
    else
      v_high := v_middle - 1;
    end if;
  end loop;
  return v_low;
end $$;
