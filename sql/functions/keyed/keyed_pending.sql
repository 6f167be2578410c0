create function pgqueue.keyed_pending(queue text, process_id text default null)
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
  select i.key::text, i.job_id, 'pending', i.priority::integer, i.extra
  from pgqueue.keyed_item i
  where i.queue = keyed_pending.queue and i.lease_id is null and (not i.exclusive or i.process_id = keyed_pending.process_id)
  order by i.priority desc, i.job_id;
end $$;

comment on function pgqueue.keyed_pending is
'Items of a queue that wait, in the order in which they are to be claimed. Exclusive items of other processes are left out. Errors: PQ001.';
