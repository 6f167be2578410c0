create function pgqueue.keyed_active(queue text, process_id text default null)
returns table (key text, id bigint, status text, priority integer, extra text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  return query
  select i.key::text, i.job_id, 'active', i.priority::integer, i.extra
  from pgqueue.keyed_item i
  where i.queue = keyed_active.queue and i.lease_id is not null and (not i.exclusive or i.process_id = keyed_active.process_id)
  order by i.job_id + 0;
end $$;

comment on function pgqueue.keyed_active is
'Items of a queue that are being executed, by id. Exclusive items of other processes are left out. Errors: PQ001.';
