create function pgqueue.keyed_state(id bigint)
returns table (state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._keyed_settled(id);
  return query
  select coalesce(
    (select case when i.lease_id is null then 'pending' else 'active' end from pgqueue.keyed_item i where i.job_id = keyed_state.id),
    (select r.state::text from pgqueue.keyed_result r where r.job_id = keyed_state.id),
    (select o.state::text from pgqueue.outcome o where o.job_id = keyed_state.id),
    'gone');
end $$;

comment on function pgqueue.keyed_state is
'Where an item stands: pending, active, succeeded, failed, cancelled, or gone when nothing of it is left. An end that is in progress is let finish first: who has called watch and is told pending or active here gets a notification when
the item ends. Errors: none.';
