create function pgqueue._check_time(what text, given timestamptz) returns void
language plpgsql
as $$
begin
  if not isfinite(given) or given > '9999-12-30 00:00+00' then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, given), 'Give a finite time before the year 10000, or leave it out to run as soon as possible.');
  end if;
end $$;
