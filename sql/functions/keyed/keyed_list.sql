create function pgqueue.keyed_list(queue text, process_id text default null)
returns table (key text, id bigint, status text, priority integer, extra text, payload text)
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
  select i.key::text, i.job_id, case when i.lease_id is null then 'pending' else 'active' end, i.priority::integer, i.extra, p.payload
  from pgqueue._keyed_items(keyed_list.queue, keyed_list.process_id) i
  cross join lateral (select p.payload from pgqueue.keyed_payload p where p.job_id = i.job_id offset 0) p
  order by i.priority desc, i.job_id;
end $$;

comment on function pgqueue.keyed_list is
'Items of a queue with their payloads: higher priority first, then the oldest. Exclusive items of other processes are left out. Errors: PQ001.';
