create function pgqueue.keyed_truncate(queue text)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_item bigint;
  v_done bigint := 0;
begin
  perform pgqueue._check_name('queue', queue, 1000);
  for v_item in
    select u.job_id
    from (
      select i.job_id from pgqueue.keyed_item i where i.queue = keyed_truncate.queue and i.lease_id is null
      union all
      select i.job_id from pgqueue.keyed_item i where i.queue = keyed_truncate.queue and i.lease_id is not null) u
    order by u.job_id + 0
  loop
    v_done := v_done + case when pgqueue._keyed_drop(v_item, 'cancelled_by_user') then 1 else 0 end;
  end loop;
  delete from pgqueue.keyed_request q
  where q.job_id = any(array(select r.job_id from pgqueue.keyed_result r where r.queue = keyed_truncate.queue));
  delete from pgqueue.keyed_result r where r.queue = keyed_truncate.queue;
  return v_done;
end $$;

comment on function pgqueue.keyed_truncate is
'Empties one keyed queue: cancels its items, waiting and active, and forgets its results. Returns how many items there were. Errors: PQ001.';
