-- What a claim has to know of a queue when it has not looked at its lanes.
create function pgqueue._settings_in_view(queue text) returns pgqueue.lane_in_view
language plpgsql
as $$
declare
  v_lane pgqueue.lane_in_view;
begin
  select _settings_in_view.queue, pgqueue._forget(q.history), q.timeout is not null or q.max_attempts is not null
  into v_lane.queue, v_lane.forget, v_lane.special
  from (select) one left join pgqueue.queue q on q.name = _settings_in_view.queue;
  return v_lane;
end $$;
