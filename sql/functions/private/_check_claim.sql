create function pgqueue._check_claim(worker bigint, queues text[], n integer) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_worker(worker);
  if n is null or n not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Claim from 1 to 10000 jobs at a time.');
  end if;
  if array_ndims(queues) is distinct from 1 or array_position(queues, null) is not null then
    perform pgqueue._check_queues(queues);
  end if;
end $$;
