-- The next tick of an expression that names times of the clock on the wall: each comes once. One that the clock skips is right after the gap; of one that comes
-- twice it is the first.
create function pgqueue._cron_fixed(spec pgqueue.cron_spec, zone text, after timestamptz) returns timestamptz
language plpgsql
as $$
declare
  v_local timestamp := (after + interval '1 microsecond') at time zone zone;
  v_guess timestamptz;
  v_tick timestamptz;
begin
  loop
    v_local := pgqueue._cron_local(spec, v_local);
    exit when v_local is null;
    -- The offset is that of the day before or that of the day after; no zone has changed twice in so short a time.
    v_guess := v_local at time zone zone;
    select min(c) into v_tick
    from unnest(array[v_guess - interval '24 hours', v_guess, v_guess + interval '24 hours']) near(moment)
    cross join lateral (select (v_local at time zone 'UTC') - pgqueue._zone_offset(near.moment, zone)) candidate(c)
    where c at time zone zone = v_local;
    v_tick := coalesce(v_tick, pgqueue._zone_change(v_guess - interval '24 hours', v_guess + interval '24 hours', zone));
    if v_tick > after then
      return v_tick;
    end if;
    -- `after` is in the second pass of an hour that comes twice, and this was in the first.
    v_local := v_local + interval '1 minute';
  end loop;
  return null;
end $$;
