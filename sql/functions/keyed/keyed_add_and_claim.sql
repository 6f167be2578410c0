-- The key before the lock: who waits for another's uncommitted key must hold nothing that a claim needs.
create function pgqueue.keyed_add_and_claim(
  queue text,
  key text,
  payload text,
  priority integer default 0,
  orphan_ms bigint default null,
  process_id text default null,
  exclusive boolean default false,
  external_id text default null,
  concurrency integer default null,
  stage_key text default null,
  reuse boolean default false,
  max_attempts integer default 1)
returns setof pgqueue.keyed_add_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_add pgqueue.keyed_add_info;
  v_key record;
  v_room record;
  v_claims boolean;
begin
  perform pgqueue._check_keyed_item(queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts);
  if concurrency < 0 then
    perform pgqueue._check_concurrency(concurrency);
  end if;
  v_key := pgqueue._keyed_key(queue, key, priority, orphan_ms, external_id, reuse);
  v_add.id := v_key.id;
  v_add.created := v_key.created;
  v_room := pgqueue._keyed_room(queue, concurrency, case when not v_add.created then v_add.id end);
  -- Of the others that wait, none is passed by.
  v_claims := not v_room.paused and v_room.room > v_room.pending - case when v_add.created then 0 else 1 end;
  if v_add.created then
    perform pgqueue._keyed_store(v_add.id, queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts, v_claims, v_room.forget);
    v_add := row(v_add.id, true, v_room.pending + case when v_claims then 0 else 1 end, case when v_claims then v_room.active || key else v_room.active end,
      case when v_claims then payload end, null);
    return next v_add;
    return;
  end if;
  v_add.pending := v_room.pending;
  v_add.active := v_room.active;
  if v_claims and v_room.item is not null and v_room.item_lease is null
    and (not v_room.item_exclusive or v_room.item_process is not distinct from keyed_add_and_claim.process_id)
    and pgqueue._keyed_take(v_add.id, pgqueue._keyed_line(queue), v_room.forget)
  then
    v_add.pending := v_add.pending - 1;
    v_add.active := v_add.active || v_room.item_key;
    v_add.extra := v_room.item_extra;
    select p.payload into v_add.payload from pgqueue.keyed_payload p where p.job_id = v_add.id;
  end if;
  return next v_add;
end $$;

comment on function pgqueue.keyed_add_and_claim is
'keyed_add and keyed_claim in one step: adds or joins the item, and claims it at once if fewer than concurrency items of the queue are active or wait before it. payload: null when it was not claimed; then it waits, or runs already. active:
the keys of active items, by id. pending: the items that wait now. Errors: PQ001, PQ005.';
