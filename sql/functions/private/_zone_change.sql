-- When the clocks of a zone change between two moments that have different offsets: the first second of the new one. Halving finds it in seventeen steps for a day.
create function pgqueue._zone_change(after timestamptz, until timestamptz, zone text) returns timestamptz
language plpgsql
as $$
declare
  v_before interval := pgqueue._zone_offset(after, zone);
  v_low bigint := floor(extract(epoch from after));
  v_high bigint := ceil(extract(epoch from until));
  v_middle bigint;
begin
  while v_high - v_low > 1 loop
    v_middle := (v_low + v_high) / 2;
    if pgqueue._zone_offset(to_timestamp(v_middle), zone) = v_before then
      v_low := v_middle;
    else
      v_high := v_middle;
    end if;
  end loop;
  return to_timestamp(v_high);
end $$;
