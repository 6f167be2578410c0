-- Upkeep: rates that have room again. Groups that waited for it are looked at again by the next claim, and who sleeps on a queue is woken when it has room and jobs: a claim that found the rate used up was told
-- that there is nothing. Owners are woken here too, for the queue may have no rates any more, and then no claim asks whether they sleep.
create function pgqueue._duty_rates() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_queue text;
  v_queues text[];
  v_of text[];
  v_groups text[];
  v_owners record;
begin
  select * into v_cursor from pgqueue._due_cursor('group_wait');
  v_picked := array(
    select w.ctid from pgqueue.group_wait w
    where w.at <= v_now and w.at >= v_cursor.floor order by w.at limit 5000 for update skip locked);
  select w.at into v_first from pgqueue.group_wait w where w.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('group_wait', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  with due as (
    delete from pgqueue.group_wait w where w.ctid = any(v_picked) returning w.queue, w.group_key),
  asked as (
    insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), 0, 0, 0, d.queue, d.group_key from (select distinct d.queue, d.group_key from due d) d)
  select array_agg(distinct d.queue), array_agg(d.queue), array_agg(d.group_key) into v_queues, v_of, v_groups from due d;
  for v_owners in
    select e.queue, array_agg(distinct e.group_key) as owners from unnest(v_of, v_groups) e(queue, group_key) group by e.queue order by e.queue
  loop
    perform pgqueue._wake_owners(v_owners.queue, v_owners.owners, v_now);
  end loop;

  for v_queue in select q.name from pgqueue.queue q where q.rate_limit is not null and q.paused_at is null order by q.name loop
    if pgqueue._rate_room(v_queue) > 0 and pgqueue._waits(v_queue) then
      v_queues := v_queues || v_queue;
    end if;
  end loop;
  perform pgqueue._wake(q) from unnest(v_queues) q;
  return cardinality(v_picked);
end $$;
