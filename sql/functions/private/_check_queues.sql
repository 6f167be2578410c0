create function pgqueue._check_queues(queues text[]) returns void
language plpgsql
as $$
begin
  if array_ndims(queues) is distinct from 1 then
    perform pgqueue._refuse('PQ001',
      format('queues is %s', case when queues is null then 'null' when cardinality(queues) = 0 then 'empty' else 'an array of arrays' end),
      'Name at least one queue, such as array[''default''].');
  end if;
  perform pgqueue._check_name('queue', q, 200) from unnest(queues) q;
end $$;
