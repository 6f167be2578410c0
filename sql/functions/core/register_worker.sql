create function pgqueue.register_worker(
  name text,
  queues text[],
  concurrency integer default 1,
  info jsonb default '{}')
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_id bigint;
begin
  perform pgqueue._check_name('name', name, 200);
  perform pgqueue._check_queues(queues);
  if concurrency is null or concurrency < 1 then
    perform pgqueue._refuse('PQ001', format('concurrency is %s', coalesce(concurrency::text, 'null')), 'Give a whole number of at least 1.');
  end if;
  insert into pgqueue.worker (name, queues, concurrency, info, started_at, heartbeat_at)
  values (register_worker.name, register_worker.queues, register_worker.concurrency, coalesce(register_worker.info, '{}'), v_now, v_now)
  returning id into v_id;
  return v_id;
end $$;

comment on function pgqueue.register_worker is
'Registers a worker and returns its id, which every claim and heartbeat names. A worker must call worker_heartbeat more often than the setting lost_after
(30 seconds by default), or its jobs are given to others. name, queues, concurrency and info are for people to read. Errors: PQ001.';
