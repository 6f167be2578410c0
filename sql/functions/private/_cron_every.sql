-- The interval of `every <interval>`, null when it is no such text. Months and years are refused: they have no length to multiply.
create function pgqueue._cron_every(cron text) returns interval
language plpgsql
as $$
declare
  c_hint constant text := 'Give an interval from a second to 100 years, such as ''every 90 seconds'' or ''every hour''; for months and years @monthly, @yearly or five fields.';
  v_text text := (regexp_match(cron, '^[ \t]*every[ \t]+(.*)$', 'i'))[1];
  v_every interval;
begin
  if v_text is null then
    return null;
  end if;
  begin
    v_every := (case when v_text ~ '[0-9]' then v_text else '1 ' || v_text end)::interval;
    perform pgqueue._check_interval('the interval of cron', v_every, true);
  exception
    when data_exception then null;
  end;
  if v_every is null or v_every < interval '1 second' or extract(year from v_every) <> 0 or extract(month from v_every) <> 0 then
    perform pgqueue._refuse('PQ001', format('cron: %L is no interval to repeat', cron), c_hint);
  end if;
  return make_interval(secs => extract(epoch from v_every)::float8);
end $$;
