-- The first tick after a moment, null when there is none any more. Intervals are counted from `anchor`, so that whoever asks gets the same ticks.
create function pgqueue._next_tick(cron text, time_zone text, after timestamptz, anchor timestamptz) returns timestamptz
language plpgsql
as $$
declare
  v_every interval := pgqueue._cron_every(cron);
  v_anchor timestamptz := coalesce(anchor, timestamptz 'epoch');
  v_length numeric;
  v_spec pgqueue.cron_spec;
begin
  if v_every is not null then
    v_length := extract(epoch from v_every) * 1000000;
    return v_anchor + (floor((extract(epoch from after) - extract(epoch from v_anchor)) * 1000000 / v_length) + 1) * v_length * interval '1 microsecond';
  end if;
  v_spec := pgqueue._cron(cron);
  if v_spec.fixed then
    return pgqueue._cron_fixed(v_spec, time_zone, after);
  end if;
  return pgqueue._cron_elapsed(v_spec, time_zone, after);
end $$;
