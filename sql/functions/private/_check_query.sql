-- What only submit_query takes.
create function pgqueue._check_query(
  sql text,
  params jsonb,
  timeout interval,
  wait_timeout interval,
  max_age interval,
  ttl interval,
  batch_rows integer,
  max_rows bigint,
  max_bytes bigint,
  is_unique boolean,
  read_only boolean) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_sql('sql', sql, true);
  if jsonb_typeof(params) not in ('array', 'null') then
    perform pgqueue._refuse('PQ001', format('params is %s, not an array', jsonb_typeof(params)), 'Give the values for $1, $2, … in order, such as [42, "blue"].');
  end if;
  perform pgqueue._check_interval('timeout', timeout, true);
  perform pgqueue._check_interval('wait_timeout', wait_timeout, true);
  perform pgqueue._check_interval('max_age', max_age, false);
  perform pgqueue._check_interval('ttl', ttl, true);
  if batch_rows not between 1 and 1000000 then
    perform pgqueue._refuse('PQ001', format('batch_rows is %s', batch_rows), 'Give a number from 1 to 1000000, or null to have chunks of a convenient size.');
  end if;
  if max_rows < 0 or max_bytes < 0 then
    perform pgqueue._refuse('PQ001', 'max_rows or max_bytes is negative', 'Give a number from 0 on, or null for the installation''s own.');
  end if;
  if is_unique is null or read_only is null then
    perform pgqueue._refuse('PQ001', 'unique or read_only is null', 'Give true or false.');
  end if;
end $$;
