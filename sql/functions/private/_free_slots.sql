-- Takes the slots of these jobs away and hands them on at once, group by group in order. The lock of a group is only tried: where another session
-- is at work on it, a row in the group's inbox says "look again", and the next claim of the queue does. A group without a limit has nobody
-- waiting.
create function pgqueue._free_slots(jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_group record;
begin
  for v_group in
    with gone as (delete from pgqueue.slot s where s.job_id = any(jobs) returning s.queue, s.group_key)
    select distinct gone.queue, gone.group_key
    from gone join pgqueue.queue q on q.name = gone.queue and q.group_limit is not null
    order by 1, 2
  loop
    if pgqueue._admit_group(v_group.queue, v_group.group_key) is null then
      insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
      values (nextval('pgqueue.job_id'), 0, 0, 0, v_group.queue, v_group.group_key);
    end if;
  end loop;
end $$;
