-- Puts jobs where a claim finds them: jobs with a group and no slot into the inbox of their group, suspects alone, the rest into ready, each
-- with a new turn. The arrays are parallel. `admitted`: those with a group hold their slot already; those whose owners take turns had one, and stand in
-- line again, crashed or not: what crashes there is seldom the worker's end, and its owner's next must not overtake it.
create function pgqueue._enter(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[],
  admitted boolean) returns void
language plpgsql
as $$
declare
  v_suspects boolean;
  v_grouped boolean;
  v_lined boolean;
  v_queue text;
begin
  if coalesce(cardinality(jobs), 0) = 0 then
    return;
  end if;
  if 0 <> any(select t & 32768 from unnest(_enter.traits) t) then
    perform pgqueue._enter_kept(jobs, queues, priorities, attempts, _enter.traits, admitted);
    return;
  end if;
  select bool_or(t & 160 = 32), bool_or(t & 2 <> 0 and not admitted), bool_or(t & 128 <> 0 and admitted) into v_suspects, v_grouped, v_lined
  from unnest(_enter.traits) t;

  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
  select nextval('pgqueue.job_id'), e.id, e.traits, e.priority, e.attempt, e.queue
  from unnest(jobs, queues, priorities, attempts, _enter.traits) e(id, queue, priority, attempt, traits)
  where e.traits & 160 = 0 and (e.traits & 2 = 0 or admitted);
  if v_suspects then
    insert into pgqueue.suspect (seq, job_id, traits, priority, attempt, crashes, queue)
    select nextval('pgqueue.job_id'), e.id, e.traits, e.priority, e.attempt,
      coalesce((select c.crashes from pgqueue.crash c where c.job_id = e.id), 1), e.queue
    from unnest(jobs, queues, priorities, attempts, _enter.traits) e(id, queue, priority, attempt, traits)
    where e.traits & 160 = 32 and (e.traits & 2 = 0 or admitted);
  end if;
  if v_lined then
    perform pgqueue._stand_in_line(jobs, queues, priorities, attempts, _enter.traits);
  end if;
  if v_grouped then
    insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), e.id, e.traits, e.priority, e.attempt, e.queue, (select j.group_key from pgqueue.job j where j.id = e.id)
    from unnest(jobs, queues, priorities, attempts, _enter.traits) e(id, queue, priority, attempt, traits)
    where e.traits & 2 <> 0;
  end if;

  if 0 <> any(select t & 1024 from unnest(_enter.traits) t) then
    perform pgqueue._keyed_waits(jobs, priorities);
  end if;

  perform pgqueue._open_lane(l.queue, l.priority, l.grouped)
  from (
    select e.queue, e.priority, bool_or(e.traits & 2 <> 0) as grouped
    from unnest(queues, priorities, _enter.traits) e(queue, priority, traits) group by 1, 2) l;
  for v_queue in select distinct q from unnest(queues) q loop
    perform pgqueue._wake(v_queue);
  end loop;
end $$;
