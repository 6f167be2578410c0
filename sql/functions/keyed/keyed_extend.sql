create function pgqueue.keyed_extend(id bigint, orphan_ms bigint)
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
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  if not exists (select from pgqueue.keyed_item i where i.job_id = keyed_extend.id) then
    return false;
  end if;
  perform pgqueue._keyed_join(id, pgqueue._now(), orphan_ms, null);
  return true;
end $$;

comment on function pgqueue.keyed_extend is
'Asks for an item again, as one does who goes on waiting for it: its deadline moves later by the rules of keyed_add. False: it is gone. Errors: PQ001.';
