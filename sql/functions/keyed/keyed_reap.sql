-- Items that another session has in hand are left to it.
create function pgqueue.keyed_reap(
  queue text,
  heartbeat_ms bigint default null,
  orphan_ms bigint default null,
  max integer default 1000,
  release boolean default false)
returns table (id bigint, key text, payload text, extra text, why text)
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
  if coalesce(max, 0) not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a whole number from 1 to 10000.');
  end if;
  for id, key, why in
    select l.id, l.key, l.why from pgqueue._keyed_lapsed(keyed_reap.queue, keyed_reap.heartbeat_ms, keyed_reap.orphan_ms) l order by l.id limit keyed_reap.max
  loop
    continue when not pgqueue._keyed_at_hand(id, why, heartbeat_ms, orphan_ms);
    select i.extra, p.payload into extra, payload from pgqueue.keyed_item i join pgqueue.keyed_payload p on p.job_id = i.job_id where i.job_id = id;
    if why = 'stalled' and release then
      continue when not pgqueue._keyed_release(id);
    else
      continue when not pgqueue._keyed_drop(id, case why when 'stalled' then 'worker_lost' else 'orphaned' end);
    end if;
    return next;
  end loop;
end $$;

comment on function pgqueue.keyed_reap is
'Removes items that are stalled or orphaned (see keyed_to_cancel; a null leaves that half out) and returns what they were, each to exactly one caller: up to max. why: stalled or orphaned. release: stalled items go back to where they wait
instead, until they were in max_crashes of those. Errors: PQ001.';
