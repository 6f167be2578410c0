-- Reads a cron expression of five fields, or one of the words for them. Refuses with PQ001 what is none, and says which field.
create function pgqueue._cron(cron text) returns pgqueue.cron_spec
language plpgsql
as $$
declare
  c_months constant text[] := array['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
  c_weekdays constant text[] := array['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
  v_text text := btrim(cron, E' \t');
  v_fields text[];
  v_spec pgqueue.cron_spec;
begin
  if v_text like '@%' then
    v_text := case lower(v_text)
      when '@hourly' then '0 * * * *'
      when '@daily' then '0 0 * * *'
      when '@midnight' then '0 0 * * *'
      when '@weekly' then '0 0 * * 0'
      when '@monthly' then '0 0 1 * *'
      when '@yearly' then '0 0 1 1 *'
      when '@annually' then '0 0 1 1 *' end;
    if v_text is null then
      perform pgqueue._refuse('PQ001', format('cron is %L', cron), 'The words are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.');
    end if;
  end if;
  v_fields := regexp_split_to_array(v_text, '[ \t]+');
  if cardinality(v_fields) <> 5 then
    perform pgqueue._refuse('PQ001', format('cron %L has %s fields, not 5', cron, case when v_text = '' then 0 else cardinality(v_fields) end),
      'Give minute, hour, day of the month, month and day of the week, such as ''30 7 * * mon-fri''; or a word such as @daily; or ''every 10 minutes''.');
  end if;
  v_spec.minutes := pgqueue._cron_field('minute', v_fields[1], 0, 59, null);
  v_spec.hours := pgqueue._cron_field('hour', v_fields[2], 0, 23, null);
  v_spec.days := pgqueue._cron_field('day of the month', v_fields[3], 1, 31, null);
  v_spec.months := pgqueue._cron_field('month', v_fields[4], 1, 12, c_months);
  v_spec.weekdays := array(
    select distinct d % 7 from unnest(pgqueue._cron_field('day of the week', v_fields[5], 0, 7, c_weekdays)) d order by 1);
  -- As Debian's cron has both: what begins with a star, */2 too, restricts along with the other field, and does not follow the clock on the wall.
  v_spec.both_days := v_fields[3] like '*%' or v_fields[5] like '*%';
  v_spec.fixed := v_fields[1] not like '*%' and v_fields[2] not like '*%';
  return v_spec;
end $$;
