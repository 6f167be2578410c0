create function pgqueue._check_concurrency(concurrency integer) returns void
language plpgsql
as $$
begin
  if concurrency < 0 then
    perform pgqueue._refuse('PQ001', format('concurrency is %s', concurrency), 'Give how many items of the queue may be active at once, or null for no end but the queue''s max_running.');
  end if;
end $$;
