-- Upkeep: follow-ups that met an open transaction are tried again, a hundred a pass and no more after a few that meet one again.
create function pgqueue._enqueue_late() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_late record;
  v_done bigint := 0;
  v_missed integer := 0;
begin
  for v_late in
    select l.* from (
      select l.* from pgqueue.late_follow_up l where l.seq > pgqueue._slice('late_follow_up') and l.error is null order by l.seq limit 100 for update skip locked) l
    order by l.seq
  loop
    perform set_config('pgqueue.slice_late_follow_up', v_late.seq::text, false);
    delete from pgqueue.late_follow_up l where l.seq = v_late.seq;
    if pgqueue._enqueue_follow_up(v_late.job_id, v_late.follow_up) then
      v_done := v_done + 1;
    else
      v_missed := v_missed + 1;
    end if;
    exit when v_missed >= 5;
  end loop;
  if v_late is null then
    perform set_config('pgqueue.slice_late_follow_up', '0', false);
  end if;
  return v_done;
end $$;
