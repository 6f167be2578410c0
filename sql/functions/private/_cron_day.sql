-- Whether an expression has ticks on a day.
create function pgqueue._cron_day(spec pgqueue.cron_spec, day date) returns boolean
language sql immutable
return extract(month from day) = any(spec.months)
  and case when spec.both_days
    then extract(day from day) = any(spec.days) and extract(dow from day) = any(spec.weekdays)
    else extract(day from day) = any(spec.days) or extract(dow from day) = any(spec.weekdays) end;
