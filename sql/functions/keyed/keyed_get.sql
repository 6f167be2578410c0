create function pgqueue.keyed_get(queue text default null, key text default null, id bigint default null)
returns setof pgqueue.keyed_item_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
  select i.job_id, p.payload, i.extra, case when i.lease_id is null then 'pending' else 'active' end, i.key::text
  from pgqueue.keyed_item i join pgqueue.keyed_payload p on p.job_id = i.job_id
  where i.job_id = case when keyed_get.id is null then pgqueue._keyed_id(keyed_get.queue, keyed_get.key, null) else keyed_get.id end;
end $$;

comment on function pgqueue.keyed_get is
'One item of a keyed queue, by its id where one is given, else by its key; no row when it is gone. Errors: PQ001 without either.';
