create function pgqueue.keyed_orphaned(queue text, orphan_ms bigint)
returns table (key text, id bigint)
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
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  return query select l.key, l.id from pgqueue._keyed_lapsed(keyed_orphaned.queue, null, keyed_orphaned.orphan_ms) l;
end $$;

comment on function pgqueue.keyed_orphaned is
'Waiting items whose deadline has passed: the latest of those their requests gave; a request that gave none counts orphan_ms milliseconds from when it came. Errors: PQ001.';
