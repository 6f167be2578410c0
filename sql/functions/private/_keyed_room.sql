-- What a claim of a keyed queue must know, once it has the queue's lock: what is active, what waits, the item it wants, and how many more may run by the caller's number and the
-- queue's own max_running. In one statement, as each costs more than what it reads.
create function pgqueue._keyed_room(
  in queue text,
  in concurrency integer,
  in wanted bigint,
  out pending integer,
  out active text[],
  out room integer,
  out paused boolean,
  out forget smallint,
  out item bigint,
  out item_lease bigint,
  out item_queue text,
  out item_key text,
  out item_exclusive boolean,
  out item_process text,
  out item_extra text)
language plpgsql
as $$
declare
  v_line text := pgqueue._keyed_line(queue);
  v_now record;
  v_item pgqueue.keyed_item;
begin
  select (select count(*) from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is null) as pending,
    array(select i.key from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is not null order by i.job_id + 0) as active,
    q.paused_at is not null as paused, pgqueue._forget(q.history) as forget, q.max_running, w.wanted
  into v_now
  from (select (select i from pgqueue.keyed_item i where i.job_id = _keyed_room.wanted) as wanted) w
  left join pgqueue.queue q on q.name = v_line;
  pending := v_now.pending;
  active := v_now.active;
  paused := v_now.paused;
  forget := v_now.forget;
  v_item := v_now.wanted;
  room := coalesce(concurrency, 2147483647) - cardinality(active);
  if v_now.max_running is not null then
    -- Where workers' claims of this queue meet; what they did meanwhile is counted anew.
    perform from pgqueue.limiter l where l.queue = v_line for no key update;
    pending := (select count(*) from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is null);
    active := array(select i.key from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is not null order by i.job_id + 0);
    select i.* into v_item from pgqueue.keyed_item i where i.job_id = _keyed_room.wanted;
    room := least(coalesce(concurrency, v_now.max_running) - cardinality(active), v_now.max_running - cardinality(active), pgqueue._room(v_line, v_now.max_running));
  end if;
  item := v_item.job_id;
  item_lease := v_item.lease_id;
  item_queue := v_item.queue;
  item_key := v_item.key;
  item_exclusive := v_item.exclusive;
  item_process := v_item.process_id;
  item_extra := v_item.extra;
end $$;
