create function pgqueue._check_time(what text, given timestamptz) returns void
language plpgsql
as $$
begin
  if not isfinite(given) then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, given), 'Give a finite time, or leave it out to run as soon as possible.');
  end if;
end $$;
