-- Puts jobs that had their turn back in line, at the head of their owner's part since that is ordered by id. What of a script was running is to run again.
create function pgqueue._stand_in_line(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[]) returns void
language plpgsql
as $$
declare
  v_jobs bigint[] := array(select e.id from unnest(jobs, traits) e(id, traits) where e.traits & 128 <> 0);
begin
  perform pgqueue._interrupt_scripts(v_jobs);
  with gone as (delete from pgqueue.turn t where t.job_id = any(v_jobs) returning t.job_id, t.owner),
  known as (
    insert into pgqueue.owner_turns (queue, owner, turns, arrived)
    select distinct on (e.queue, j.group_key) e.queue, j.group_key, 0, e.id
    from unnest(jobs, queues, traits) e(id, queue, traits)
    cross join lateral (select j.group_key from pgqueue.job j where j.id = e.id offset 0) j
    where e.traits & 128 <> 0
    order by e.queue, j.group_key, e.id
    on conflict do nothing)
  insert into pgqueue.line (job_id, traits, priority, attempt, queue, owner)
  select e.id, e.traits, e.priority, e.attempt, e.queue,
    coalesce((select g.owner from gone g where g.job_id = e.id), (select j.group_key from pgqueue.job j where j.id = e.id))
  from unnest(jobs, queues, priorities, attempts, _stand_in_line.traits) e(id, queue, priority, attempt, traits)
  where e.traits & 128 <> 0;
end $$;
