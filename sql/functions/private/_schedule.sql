-- Puts jobs aside until a time, or to where a claim finds them when that time has come. A job with a group that waits for a time holds no
-- slot. The arrays are parallel.
create function pgqueue._schedule(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[],
  due timestamptz[]) returns void
language plpgsql
as $$
begin
  insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
  select e.due, e.id, e.traits, e.priority, e.attempt, e.queue
  from unnest(jobs, queues, priorities, attempts, _schedule.traits, due) e(id, queue, priority, attempt, traits, due);
  if 0 <> any(select t & 2 from unnest(_schedule.traits) t) then
    perform pgqueue._free_slots(jobs);
    if 0 <> any(select t & 128 from unnest(_schedule.traits) t) then
      perform pgqueue._interrupt_scripts(jobs);
    end if;
  end if;
  if 0 <> any(select t & 1024 from unnest(_schedule.traits) t) then
    perform pgqueue._keyed_waits(jobs, priorities);
  end if;
end $$;
