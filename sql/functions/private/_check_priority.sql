-- A priority argument, before it is stored as a smallint.
create function pgqueue._check_priority(priority integer) returns void
language plpgsql
as $$
begin
  if priority is null or priority not between -32768 and 32767 then
    perform pgqueue._refuse('PQ001', format('priority is %s', coalesce(priority::text, 'null')),
      'Give a whole number from -32768 to 32767; higher runs first, 0 is usual.');
  end if;
end $$;
