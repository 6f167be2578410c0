create function pgqueue.keyed_stage(queue text, stage_key text, priority integer default null)
returns table (id bigint, stage text, "position" integer, elapsed_ms bigint)
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
  perform pgqueue._check_name('stage_key', stage_key, 1000);
  select i.job_id, case when i.lease_id is null then 'pending' else 'active' end, i.priority,
    (extract(epoch from pgqueue._now() - coalesce(i.claimed_at, i.created_at)) * 1000)::bigint
  into id, stage, "position", elapsed_ms
  from pgqueue._keyed_items(keyed_stage.queue, null) i
  where i.stage_key = keyed_stage.stage_key and (keyed_stage.priority is null or i.priority = keyed_stage.priority)
  order by i.lease_id is null, i.priority desc, i.job_id limit 1;
  if not found then
    return;
  end if;
  "position" := case when stage = 'pending' then (
    select count(*) from pgqueue.keyed_item i, (select k.priority, k.job_id from pgqueue.keyed_item k where k.job_id = keyed_stage.id) k
    where i.queue = keyed_stage.queue and i.lease_id is null and (keyed_stage.priority is null or i.priority = keyed_stage.priority)
      and (i.priority > k.priority or i.priority = k.priority and i.job_id <= k.job_id)) end;
  return next;
end $$;

comment on function pgqueue.keyed_stage is
'How far the first item with this stage_key (and priority) is: stage active, or pending with its position among those that wait (of that priority, if one is given), counted from 1. elapsed_ms: since it was claimed, or added. No row when
there is none. Reads no payload. Errors: PQ001.';
