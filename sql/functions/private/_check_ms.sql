-- Milliseconds, as callers of keyed queues have them; a thousand years are enough.
create function pgqueue._check_ms(what text, ms bigint) returns void
language plpgsql
as $$
begin
  if ms not between 0 and 31557600000000 then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, ms), format('Give %s as milliseconds, 0 or more, or null.', what));
  end if;
end $$;
