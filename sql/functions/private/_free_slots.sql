-- Takes the slots of these jobs away and hands them on at once to those that stand behind; who is in the inbox still is for claims to look at. Turns are given by claims,
-- so for those a worker is woken if somebody stands in line. The lock of a group is only tried: see _admit_or_ask. A group without a limit has nobody waiting.
create function pgqueue._free_slots(jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_queue record;
  v_lined text;
begin
  for v_lined in
    with gone as (delete from pgqueue.turn t where t.job_id = any(jobs) returning t.queue)
    select distinct gone.queue from gone order by 1
  loop
    if pgqueue._line_waits(v_lined) then
      perform pgqueue._wake(v_lined);
    end if;
  end loop;
  for v_queue in
    with gone as (delete from pgqueue.slot s where s.job_id = any(jobs) returning s.queue, s.group_key),
    freed as (select gone.queue, gone.group_key, count(*) as slots from gone group by gone.queue, gone.group_key)
    select f.queue, q.counted, array_agg(f.group_key) as groups, max(f.slots)::integer as most
    from freed f join pgqueue.queue q on q.name = f.queue and (q.group_limit is not null or q.counted)
    group by f.queue, q.counted order by f.queue
  loop
    if not v_queue.counted then
      v_queue.groups := pgqueue._groups_behind(v_queue.queue, v_queue.groups);
    end if;
    -- As many of each group as it has lost slots, and no more: what is taken from the inbox and does not fit would be put aside, to be taken from there later.
    if cardinality(v_queue.groups) > 0 then
      perform pgqueue._admit_or_ask(v_queue.queue, v_queue.groups, v_queue.most);
    end if;
  end loop;
end $$;
