-- The hot path, as that of settle: a lease of one item that has no more traits than any has, in a queue that keeps its history: in one statement, which takes the lease first, and
-- nothing without it. The rest goes the way of every final transition; there the result comes last, so that whoever ends the item has it alone.
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
  v_id bigint := case when keyed_ack.id is null then pgqueue._keyed_id(keyed_ack.queue, keyed_ack.key, null) else keyed_ack.id end;
  v_now timestamptz := pgqueue._now();
  v_item record;
  v_end record;
begin
  if ttl is not null then
    perform pgqueue._check_interval('ttl', ttl, true);
  end if;
  with held as (
    delete from pgqueue.lease l
    where l.id = (select i.lease_id from pgqueue.keyed_item i where i.job_id = v_id) and l.job_ids = array[v_id] and l.traits = array[1025] and l.forget = 0
    returning l.worker_id, l.claimed_at, l.attempts),
  item as (delete from pgqueue.keyed_item i where i.job_id = v_id and exists (select from held) returning i.queue, i.key),
  what as (delete from pgqueue.keyed_payload p where p.job_id = v_id and exists (select from held)),
  who as (delete from pgqueue.keyed_request r where r.job_id = v_id and r.external_id is null and exists (select from held)),
  taken as (delete from pgqueue.job_key k where k.job_id = v_id and exists (select from held)),
  outcome as (
    insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt)
    select v_id, v_now, h.claimed_at, nullif(h.worker_id, 0), 'succeeded', h.attempts[1] from held h),
  stored as (
    insert into pgqueue.keyed_result (job_id, expires_at, taken, state, queue, key, result)
    select v_id, v_now + coalesce(ttl, (select c.keyed_ttl from pgqueue.config c)), false, 'succeeded', i.queue, i.key, keyed_ack.result
    from item i where keyed_ack.result is not null)
  -- The lock is for _keyed_settled.
  select pgqueue._keyed_line(i.queue) as line, pg_advisory_xact_lock_shared(pgqueue._lock_class('keyed end'), (v_id & 255)::integer),
    exists (select from pgqueue.queue q where q.name = pgqueue._keyed_line(i.queue) and q.max_running is not null) as limited
  into v_item
  from item i;
  if found then
    if not pgqueue._nobody_waits() then
      perform pgqueue._announce(array[v_id]);
    end if;
    if v_item.limited then
      perform pgqueue._wake(v_item.line);  -- workers that found no place
    end if;
    return true;
  end if;

  select i.job_id, i.queue, i.key into v_item from pgqueue.keyed_item i where i.job_id = v_id;
  if not found then
    return false;
  end if;
  select * into v_end from pgqueue._keyed_end(v_id, 'succeeded', null);
  if not v_end.ended then
    return false;
  end if;
  if result is not null then
    insert into pgqueue.keyed_result (job_id, expires_at, taken, state, queue, key, result)
    values (v_id, v_now + coalesce(ttl, (select c.keyed_ttl from pgqueue.config c)), false, 'succeeded', v_item.queue, v_item.key, keyed_ack.result);
  end if;
  if v_end.was_active and exists (select from pgqueue.queue q where q.name = v_end.line and q.max_running is not null) then
    perform pgqueue._wake(v_end.line);
  end if;
  return true;
end $$;

comment on function pgqueue.keyed_ack is
'Ends an item and stores its result, text of any size; with null there is none, and who waits gets nothing. ttl: how long the result is kept (keyed_ttl, 5 minutes). False: the item is gone, nothing is changed. By id it never touches a
newer item of that key. Also a waiting item can be ended so. Errors: PQ001.';
