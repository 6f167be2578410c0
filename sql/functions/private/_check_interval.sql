-- An interval argument: null (not given), or at least zero (or above zero), finite and below a century, so that adding it to a time
-- of this century cannot overflow.
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
  if given > interval '100 years' then
    perform pgqueue._refuse('PQ001', format('%s is longer than a hundred years', what), 'Leave it out to have none.');
  end if;
end $$;
