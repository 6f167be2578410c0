-- Checks what lists that are read page by page take.
create function pgqueue._check_page(after bigint, max integer) returns void
language plpgsql
as $$
begin
  if max is null or max not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Ask for 1 to 10000 jobs a page.');
  end if;
  if after is null then
    perform pgqueue._refuse('PQ001', 'after is null', 'Give the last id of the page before, 0 for the first.');
  end if;
end $$;
