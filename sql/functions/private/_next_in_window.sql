-- Drops the first lane of the window that _pick_wide remembers, and gives the next; nothing when there is none or its queue is paused.
create function pgqueue._next_in_window() returns setof pgqueue.lane_in_view
language plpgsql
as $$
declare
  v_window text[] := string_to_array(current_setting('pgqueue.view', true), E'\x1e');
  v_lane text[] := string_to_array(v_window[4], E'\x1f');
begin
  if v_lane is null then
    return;
  end if;
  perform set_config('pgqueue.view', array_to_string(v_window[:2] || v_window[4:], E'\x1e'), false);
  return query select * from pgqueue._lane(v_lane[1], v_lane[2]::smallint);
end $$;
