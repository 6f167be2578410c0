create function pgqueue.keyed_result_by_id(id bigint, external_id text default null, hide boolean default true)
returns setof pgqueue.keyed_result_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  if external_id is not null and exists (select from pgqueue.keyed_result r where r.job_id = keyed_result_by_id.id)
    and not exists (select from pgqueue.keyed_request q where q.job_id = keyed_result_by_id.id and q.external_id = keyed_result_by_id.external_id)
  then
    perform pgqueue._refuse('PQ001', format('item %s was not asked for as %L', id, external_id), 'Give the external_id of keyed_add, or none.');
  end if;
  if not exists (select from pgqueue.keyed_result r where r.job_id = keyed_result_by_id.id) then
    perform pgqueue._keyed_settled(id);
  end if;
  if hide then
    -- The first reader's work; nobody waits for a reader.
    update pgqueue.keyed_result r set taken = true
    where r.ctid = (
      select r.ctid from pgqueue.keyed_result r where r.job_id = keyed_result_by_id.id and not r.taken for no key update skip locked);
  end if;
  return query
  select r.job_id, r.result, r.state::text from pgqueue.keyed_result r where r.job_id = keyed_result_by_id.id and r.expires_at > pgqueue._now();
end $$;

comment on function pgqueue.keyed_result_by_id is
'The result of one item, any number of times until it expires; no row when there is none: not yet, no more, or never. hide: reads by key do not get it any more, so that who asks for the key next does not have an old run''s. To wait: listen to
pgqueue_done, call watch(array[id]), then keyed_state(id); while that is pending or active, a notification with the id as its payload will come; then read. Errors: PQ001 when external_id is not one of this item''s.';
