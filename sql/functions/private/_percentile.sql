-- The time below which this part of what was counted lies, read off a distribution by powers of two of a millisecond (see tables/metric.sql). Inside a bucket it is interpolated, so it is
-- off by less than half of itself or twice itself at worst; never above the longest there was.
create function pgqueue._percentile(buckets bigint[], part float8, longest interval) returns interval
language plpgsql immutable
as $$
declare
  v_wanted float8 := part * (select sum(n) from unnest(buckets) n);
  v_below bigint := 0;
  v_low float8;
begin
  for v_bucket in 1..coalesce(cardinality(buckets), 0) loop
    if buckets[v_bucket] > 0 and v_below + buckets[v_bucket] >= v_wanted then
      v_low := case v_bucket when 1 then 0 else 2 ^ (v_bucket - 2) end;
      return least(longest, make_interval(secs => (v_low + (2 ^ (v_bucket - 1) - v_low) * (v_wanted - v_below) / buckets[v_bucket]) / 1000));
    end if;
    v_below := v_below + buckets[v_bucket];
  end loop;
  return null;
end $$;
