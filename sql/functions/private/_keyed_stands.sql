-- A new item stands in this lane: claims know where to look, and workers who sleep are told.
create function pgqueue._keyed_stands(line text, priority integer) returns void
language plpgsql
as $$
begin
  if not pgqueue._lane_known(line, priority) then
    perform pgqueue._open_lane(line, priority::smallint, false);
  end if;
  if not pgqueue._nobody_sleeps(line) then
    perform pgqueue._wake(line);
  end if;
end $$;
