-- Takes the slots of these jobs away and hands them on at once; turns are given by claims, so for those a worker is woken if somebody stands in line. The lock of a group is only tried: see _admit_or_ask. A group without a limit has nobody waiting.
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
    with gone as (delete from pgqueue.slot s where s.job_id = any(jobs) returning s.queue, s.group_key)
    select gone.queue, array_agg(distinct gone.group_key) as groups
    from gone join pgqueue.queue q on q.name = gone.queue and (q.group_limit is not null or q.counted)
    group by gone.queue order by gone.queue
  loop
    perform pgqueue._admit_or_ask(v_queue.queue, v_queue.groups, cardinality(jobs));
  end loop;
end $$;
