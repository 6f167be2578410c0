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
  v_line text;
  v_room record;
begin
  perform pgqueue._check_keyed_item(queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts);
  perform pgqueue._check_concurrency(concurrency);
  select n.id, n.created into v_add.id, v_add.created
  from pgqueue._keyed_new(queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts, reuse, false) n;
  perform pgqueue._keyed_lock(queue);
  select * into v_room from pgqueue._keyed_room(queue, concurrency, v_add.id);
  v_add.pending := v_room.pending;
  v_add.active := v_room.active;
  v_line := pgqueue._keyed_line(queue, case when v_room.item_exclusive then v_room.item_process end);
  -- The item itself is among those that wait; of the others, none is passed by.
  if v_room.item is not null and v_room.item_lease is null and v_room.room >= v_room.pending and not v_room.paused
    and (not v_room.item_exclusive or v_room.item_process is not distinct from keyed_add_and_claim.process_id)
    and (case when v_add.created then pgqueue._keyed_lease(v_add.id, 0::smallint, 1025, pgqueue._keyed_line(queue), v_room.forget)
      else pgqueue._keyed_take(v_add.id, pgqueue._keyed_line(queue), v_room.forget) end)
  then
    v_add.pending := v_add.pending - 1;
    v_add.active := v_add.active || v_room.item_key;
    v_add.extra := v_room.item_extra;
    select p.payload into v_add.payload from pgqueue.keyed_payload p where p.job_id = v_add.id;
  elsif v_add.created then
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    values (v_add.id, v_add.id, 1025, keyed_add_and_claim.priority, 0, v_line);
    perform pgqueue._keyed_stands(v_line, priority);
  end if;
  return next v_add;
end $$;

comment on function pgqueue.keyed_add_and_claim is
'keyed_add and keyed_claim in one step: adds or joins the item, and claims it at once if fewer than concurrency items of the queue are active or wait before it. payload: null when it was not claimed; then it waits, or runs already. active:
the keys of active items, by id. pending: the items that wait now. Errors: PQ001, PQ005.';
