-- Takes the lock of a keyed queue (_keyed_lock), and says what a claim must know then: what is active, what waits, the item it wants, and how many more may run by the caller's number and the
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
  v_most integer;
begin
  perform pgqueue._keyed_lock(queue);
  select s.pending, s.active, coalesce(_keyed_room.concurrency, 2147483647) - cardinality(s.active), q.paused_at is not null, pgqueue._forget(q.history), q.most_running,
    i.job_id, i.lease_id, i.queue, i.key, i.exclusive, i.process_id, i.extra
  into pending, active, room, paused, forget, v_most, item, item_lease, item_queue, item_key, item_exclusive, item_process, item_extra
  from (
    select (select count(*) from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is null) as pending,
      array(select i.key from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is not null order by i.job_id + 0) as active offset 0) s
  left join pgqueue.queue q on q.name = pgqueue._keyed_line(_keyed_room.queue)
  left join pgqueue.keyed_item i on i.job_id = _keyed_room.wanted;
  if v_most is not null then
    -- Where workers' claims of this queue meet; what they did meanwhile is counted anew.
    perform from pgqueue.limiter l where l.queue = pgqueue._keyed_line(_keyed_room.queue) for no key update;
    pending := (select count(*) from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is null);
    active := array(select i.key from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is not null order by i.job_id + 0);
    item_lease := (select i.lease_id from pgqueue.keyed_item i where i.job_id = item);
    item := (select i.job_id from pgqueue.keyed_item i where i.job_id = item);
    room := least(coalesce(concurrency, v_most) - cardinality(active), v_most - cardinality(active), pgqueue._room(pgqueue._keyed_line(queue), v_most));
  end if;
end $$;
