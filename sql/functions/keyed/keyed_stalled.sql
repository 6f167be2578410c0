create function pgqueue.keyed_stalled(queue text, heartbeat_ms bigint)
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
  return query select l.key, l.id from pgqueue._keyed_lapsed(keyed_stalled.queue, keyed_stalled.heartbeat_ms, null) l;
end $$;

comment on function pgqueue.keyed_stalled is
'Active items whose last heartbeat, or claim, is more than heartbeat_ms milliseconds ago; whosever they are. Errors: PQ001.';
