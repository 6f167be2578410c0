-- The next tick of an expression that follows the time that passes: every moment at which the clock on the wall shows what it names, so twice in an hour that comes
-- twice and never in one that does not come. As long as the offset stays, the way on the wall is the way in time; so it goes from change to change, and over
-- long stretches in which nothing is named in one step.
create function pgqueue._cron_elapsed(spec pgqueue.cron_spec, zone text, after timestamptz) returns timestamptz
language plpgsql
as $$
declare
  v_here timestamptz := date_trunc('second', after) + interval '1 second';  -- may be a tick itself
  v_change timestamptz;
  v_local timestamp;
  v_match timestamp;
  v_tick timestamptz;
  v_seen timestamptz;
begin
  loop
    v_local := v_here at time zone zone;
    v_match := pgqueue._cron_local(spec, v_local);
    exit when v_match is null;
    v_tick := v_here + (v_match - v_local);
    v_seen := least(v_tick, v_here + interval '24 hours');
    if pgqueue._zone_offset(v_seen, zone) <> pgqueue._zone_offset(v_here, zone) then
      v_change := pgqueue._zone_change(v_here, v_seen, zone);
      if v_tick < v_change then
        return v_tick;
      end if;
      v_here := v_change;
    elsif v_seen = v_tick then
      return v_tick;
    else
      -- Nothing is named from here to v_match, and a clock set back within that shows nothing from before here: a day has passed.
      v_here := greatest(v_seen, (v_match - interval '1 day') at time zone zone);
    end if;
  end loop;
  return null;
end $$;
