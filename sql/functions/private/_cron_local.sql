-- The first minute at or after `since` that an expression names, on a clock that never changes. Null when there is none in the next fifty years, which is more
-- than the longest pause of any expression: 40 years from one 29 February on a given day of the week to the next.
create function pgqueue._cron_local(spec pgqueue.cron_spec, since timestamp) returns timestamp
language plpgsql
as $$
declare
  v_since timestamp := date_trunc('minute', since + interval '59.999999 seconds');
  v_day date := v_since::date;
  v_hour integer := extract(hour from v_since);
  v_minute integer;
  v_month date;
begin
  if pgqueue._cron_day(spec, v_day) then
    if v_hour = any(spec.hours) then
      select min(m) into v_minute from unnest(spec.minutes) m where m >= extract(minute from v_since);
    end if;
    if v_minute is null then
      select min(h) into v_hour from unnest(spec.hours) h where h > extract(hour from v_since);
      v_minute := spec.minutes[1];
    end if;
    if v_hour is not null then
      return v_day + make_interval(hours => v_hour, mins => v_minute);
    end if;
  end if;

  v_day := v_day + 1;
  for v_month in
    select m::date from generate_series(date_trunc('month', v_day::timestamp), v_day + interval '50 years', interval '1 month') m
    where extract(month from m) = any(spec.months)
  loop
    select min(d)::date into v_day
    from generate_series(greatest(v_month, v_since::date + 1)::timestamp, v_month + interval '1 month' - interval '1 day', interval '1 day') d
    where pgqueue._cron_day(spec, d::date);
    if v_day is not null then
      return v_day + make_interval(hours => spec.hours[1], mins => spec.minutes[1]);
    end if;
  end loop;
  return null;
end $$;
