-- After a change of a queue's settings: owners whose rate was used up are looked at again. When its starts are no longer counted, jobs that have waited, and stand among the blocked until their start is admitted (slot state 4), have the place they kept, as in any
-- queue of slots alone: nobody would ask for their state any more, and they would wait for their own slot. What stands locked is being admitted just now.
create function pgqueue._no_longer_counted(queue text) returns void
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_was record;
begin
  -- Whatever the rates are now: who has none left goes to sleep again.
  update pgqueue.owner_turns t set until = null where t.queue = _no_longer_counted.queue and t.until is not null;
  if (select q.counted from pgqueue.queue q where q.name = _no_longer_counted.queue) then
    return;
  end if;
  with gone as (
    delete from pgqueue.blocked b
    where b.ctid = any(array(
      select b.ctid
      from (select s.job_id from pgqueue.slot s where s.queue = _no_longer_counted.queue and s.state = 4 offset 0) s
      cross join lateral (select b.ctid from pgqueue.blocked b where b.job_id = s.job_id for update skip locked) b))
    returning b.*)
  select array_agg(g.job_id order by g.seq) as jobs, array_agg(g.queue order by g.seq) as queues, array_agg(g.priority order by g.seq) as priorities,
    array_agg(g.attempt order by g.seq) as attempts, array_agg(g.traits order by g.seq) as traits
  into v_was from gone g;
  update pgqueue.slot s set state = 0 where s.job_id = any(v_was.jobs);
  perform pgqueue._enter(v_was.jobs, v_was.queues, v_was.priorities, v_was.attempts, v_was.traits, true);
end $$;
