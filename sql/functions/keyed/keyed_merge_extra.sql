create function pgqueue.keyed_merge_extra(queue text default null, key text default null, id bigint default null, extra text default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_variable
declare
  v_new text := pgqueue._json_object_or_refuse('extra', extra);
begin
  update pgqueue.keyed_item i set extra = case when i.extra is null or v_new is null then v_new else pgqueue._merge_json(i.extra, v_new) end
  where i.job_id = case when keyed_merge_extra.id is null then pgqueue._keyed_id(queue, key, null) else keyed_merge_extra.id end;
  return found;
end $$;

comment on function pgqueue.keyed_merge_extra is
'Adds the members of a JSON object to an item''s extra; those it has already are replaced. JSON null clears it. Numbers and strings come back as they were written. False: the item is gone. Errors: PQ001.';
