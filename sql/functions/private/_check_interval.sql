-- An interval argument: null (not given), or at least zero (or above zero) and at most a century, so that adding it to a time cannot overflow.
create function pgqueue._check_interval(what text, given interval, above_zero boolean) returns void
language plpgsql
as $$
begin
  if given is null then
    return;
  end if;
  if given < interval '0' or (above_zero and given = interval '0') then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, given),
      format('Give an interval %s zero, such as ''30 seconds''.', case when above_zero then 'above' else 'of at least' end));
  end if;
  -- Field by field: '5000000 years -1800000000 days' compares as nothing at all.
  if greatest(abs(extract(year from given)), abs(extract(day from given)) / 366, abs(extract(hour from given)) / 8784) > 100
    or given > interval '100 years' then
    perform pgqueue._refuse('PQ001', format('%s is longer than a hundred years', what), 'Leave it out to have none.');
  end if;
end $$;
