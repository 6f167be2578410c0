-- The result comes last: whoever ends the item has it alone, and what is not committed nobody sees.
create function pgqueue.keyed_ack(
  queue text default null,
  key text default null,
  id bigint default null,
  result text default null,
  ttl interval default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_item record;
  v_end record;
begin
  perform pgqueue._check_interval('ttl', ttl, true);
  select i.job_id, i.queue, i.key into v_item
  from pgqueue.keyed_item i where i.job_id = case when keyed_ack.id is null then pgqueue._keyed_id(keyed_ack.queue, keyed_ack.key, null) else keyed_ack.id end;
  if not found then
    return false;
  end if;
  select * into v_end from pgqueue._keyed_end(v_item.job_id, 'succeeded', null);
  if not v_end.ended then
    return false;
  end if;
  if result is not null then
    insert into pgqueue.keyed_result (job_id, expires_at, taken, state, queue, key, result)
    values (v_item.job_id, pgqueue._now() + coalesce(ttl, (select c.keyed_ttl from pgqueue.config c)), false, 'succeeded', v_item.queue, v_item.key, keyed_ack.result);
  end if;
  if v_end.was_active and exists (select from pgqueue.queue q where q.name = v_end.line and q.max_running is not null) then
    -- Workers that found no place.
    perform pgqueue._wake(v_end.line);
  end if;
  return true;
end $$;

comment on function pgqueue.keyed_ack is
'Ends an item and stores its result, text of any size; with null there is none, and who waits gets nothing. ttl: how long the result is kept (keyed_ttl, 5 minutes). False: the item is gone, nothing is changed. By id it never touches a
newer item of that key. Also a waiting item can be ended so. Errors: PQ001.';
