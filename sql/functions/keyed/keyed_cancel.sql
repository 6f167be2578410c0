create function pgqueue.keyed_cancel(queue text default null, key text default null, id bigint default null)
returns setof pgqueue.keyed_item_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_item pgqueue.keyed_item_info;
begin
  select i.job_id, p.payload, i.extra, case when i.lease_id is null then 'pending' else 'active' end, i.key into v_item
  from pgqueue.keyed_item i join pgqueue.keyed_payload p on p.job_id = i.job_id
  where i.job_id = case when keyed_cancel.id is null then pgqueue._keyed_id(keyed_cancel.queue, keyed_cancel.key, null) else keyed_cancel.id end;
  if found and pgqueue._keyed_drop(v_item.id, 'cancelled_by_user') then
    return next v_item;
  end if;
end $$;

comment on function pgqueue.keyed_cancel is
'Removes an item, waiting or active, and returns what it was to exactly one caller; no row when it is gone. Who waits for it is told and gets nothing; who executes it is told (a notification on the channel pgqueue_keyed with the id, or the
worker''s own), and its ack is refused. Errors: PQ001 without id or key.';
