-- Who takes the newest result of a key has it alone: a second reader waits for the first and finds it taken.
create function pgqueue.keyed_result(queue text, key text, external_id text default null)
returns table (id bigint, payload text, state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
begin
  perform pgqueue._check_keyed(queue, key);
  if external_id is not null then
    return query
    select r.job_id, r.result, r.state::text
    from (
      select r.* from pgqueue.keyed_result r where r.queue = keyed_result.queue and r.key = keyed_result.key order by r.job_id + 0 desc offset 0) r
    where r.expires_at > v_now
      and (select q.job_id from pgqueue.keyed_request q where q.job_id = r.job_id and q.external_id = keyed_result.external_id limit 1) is not null
    order by r.job_id desc limit 1;
    if found then
      return;
    end if;
  end if;
  return query
  update pgqueue.keyed_result u set taken = true
  where u.job_id = (
      select r.job_id
      from (
        select r.job_id, r.expires_at from pgqueue.keyed_result r
        where r.queue = keyed_result.queue and r.key = keyed_result.key order by r.job_id + 0 desc limit 1) r
      where r.expires_at > v_now)
    and not u.taken
  returning u.job_id, u.result, u.state::text;
end $$;

comment on function pgqueue.keyed_result is
'The newest result of a key, once: whoever reads first has it, the next gets no row. With the external_id under which the item was asked for, any number of times. state: succeeded, or failed with the payload {"error": message} when a
worker gave up. Errors: PQ001.';
