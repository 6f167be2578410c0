-- Puts jobs aside until a time, or to where a claim finds them when that time has come. A job with a group that waits for a time holds no
-- slot, but in a queue of strict order: there it keeps the one it has (trait 32768). The arrays are parallel.
create function pgqueue._schedule(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[],
  due timestamptz[]) returns void
language plpgsql
as $$
declare
  v_kept bigint[];
begin
  if 0 <> any(select t & 2 from unnest(_schedule.traits) t) then
    v_kept := array(
      select s.job_id from pgqueue.slot s
      where s.job_id = any(jobs) and (select q.group_order from pgqueue.queue q where q.name = s.queue) = 'strict' for no key update);
    update pgqueue.slot s set state = 2 where s.job_id = any(v_kept);
    _schedule.traits := array(
      select case when e.id = any(v_kept) then e.traits | 32768 else e.traits & ~32768 end & ~16384
      from unnest(jobs, _schedule.traits) with ordinality e(id, traits, ord) order by e.ord);
  end if;
  insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
  select e.due, e.id, e.traits, e.priority, e.attempt, e.queue
  from unnest(jobs, queues, priorities, attempts, _schedule.traits, due) e(id, queue, priority, attempt, traits, due);
  if 0 <> any(select t & 2 from unnest(_schedule.traits) t) then
    perform pgqueue._free_slots(array(select e.id from unnest(jobs) e(id) where e.id <> all(v_kept)));
    if 0 <> any(select t & 128 from unnest(_schedule.traits) t) then
      perform pgqueue._interrupt_scripts(jobs);
    end if;
  end if;
  if 0 <> any(select t & 1024 from unnest(_schedule.traits) t) then
    perform pgqueue._keyed_waits(jobs, priorities);
  end if;
end $$;
