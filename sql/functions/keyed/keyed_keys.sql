create function pgqueue.keyed_keys(queue text, process_id text default null)
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
  select i.key::text, i.job_id, case when i.lease_id is null then 'pending' else 'active' end, i.priority::integer, i.extra
  from pgqueue._keyed_items(keyed_keys.queue, keyed_keys.process_id) i
  order by i.priority desc, i.job_id;
end $$;

comment on function pgqueue.keyed_keys is
'keyed_list without the payloads, which it does not read however large they are. Errors: PQ001.';
