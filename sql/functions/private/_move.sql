-- Takes one waiting job to another queue, with a new turn there; its unique key goes with it, its slot does not. Its row is updated: see decisions.md. A key that is taken there is for the caller to catch
-- (unique_violation). Slices and items are known to their batch and their keyed queue by the queue they are in, and stay.
create function pgqueue._move(job bigint, queue text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_due timestamptz;
  v_was record;
begin
  select s.run_at into v_due from pgqueue.scheduled s where s.job_id = job;
  -- A script before its place, but one that is held: as whoever cancels it.
  perform from pgqueue.dependent d where d.job_id = job for update;
  perform from pgqueue.script s where s.job_id = job for update;
  -- One that waits for other jobs goes on waiting, and is let go there.
  update pgqueue.dependent d set queue = _move.queue where d.job_id = job and d.queue <> _move.queue and d.traits & 512 = 0 returning d.traits, (select j.queue from pgqueue.job j where j.id = job) as queue into v_was;
  if found then
    perform pgqueue._to_queue(array[job], _move.queue, array[v_was.queue], array[v_was.traits]);
    return;
  end if;
  select * into v_was from pgqueue._withdraw_or_refuse(job);
  -- One that waits for anything but its turn or its time would be let go.
  if v_was.traits & 1536 <> 0 or v_was.queue = _move.queue or v_was.place not in ('ready', 'scheduled', 'arrival', 'blocked', 'suspect', 'line') then
    perform pgqueue._refuse('PQ005', format('job %s cannot be moved to %s', job, queue), 'Tasks, scripts and queries can be moved, and only to another queue.');
  end if;
  if v_was.traits & 2049 <> 0 and pgqueue._retake_key(job) is not null then
    perform pgqueue._refuse('PQ005', format('another job is about to take the unique key of job %s', job), 'Try again: within a second or two it is decided which of them stays.');
  end if;
  perform pgqueue._to_queue(array[job], _move.queue, array[v_was.queue], array[v_was.traits]);
  if v_was.place = 'scheduled' then
    perform pgqueue._schedule(array[job], array[_move.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], array[v_due]);
  else
    perform pgqueue._enter(array[job], array[_move.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], false);
  end if;
end $$;
