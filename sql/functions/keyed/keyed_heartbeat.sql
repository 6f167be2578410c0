create function pgqueue.keyed_heartbeat(queue text default null, key text default null, id bigint default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  update pgqueue.keyed_item i set heartbeat_at = pgqueue._now()
  where i.job_id = case when keyed_heartbeat.id is null then pgqueue._keyed_id(keyed_heartbeat.queue, keyed_heartbeat.key, null) else keyed_heartbeat.id end;
  return found;
end $$;

comment on function pgqueue.keyed_heartbeat is
'Says that an item is still being executed. False: it is gone, stop. Errors: PQ001 without id or key.';
