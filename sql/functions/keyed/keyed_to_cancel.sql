create function pgqueue.keyed_to_cancel(queue text, heartbeat_ms bigint default null, orphan_ms bigint default null)
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
  perform pgqueue._check_ms('heartbeat_ms', heartbeat_ms);
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  return query select l.key, l.id from pgqueue._keyed_lapsed(keyed_to_cancel.queue, keyed_to_cancel.heartbeat_ms, keyed_to_cancel.orphan_ms) l;
end $$;

comment on function pgqueue.keyed_to_cancel is
'keyed_stalled and keyed_orphaned together; a null leaves that half out. keyed_reap does the rest as well. Errors: PQ001.';
