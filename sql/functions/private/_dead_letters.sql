-- The part of the final transition that writes dead letters: a copy of every task that fails for good, in the dead letter queue of its queue. The settle that records the failure
-- writes it, so there is one for each or none. Scripts, queries, slices and items of keyed queues stay where they are: their state is in tables of their own, which a copy would
-- not have. Called under settle's pinned plans: see _settle_unsuccessful.
create function pgqueue._dead_letters(jobs bigint[], states text[], reasons text[], attempts smallint[], traits integer[]) returns void
language plpgsql
as $$
declare
  v_low bigint;
  v_high bigint;
  v_failed bigint[];
  v_dead bigint[];
  v_letters pgqueue.new_job[];
begin
  if not exists (select from pgqueue.queue q where q.dead_letter_queue is not null) then
    return;
  end if;
  select min(e.id), max(e.id), array_agg(e.id) into v_low, v_high, v_failed
  from unnest(jobs, states, _dead_letters.traits) e(id, state, traits) where e.state = 'failed' and coalesce(e.traits, 0) & 1920 = 0;
  -- Names first: most failures are of queues without one, and then nothing wide is read.
  v_dead := array(
    select j.id from (select j.id, j.queue from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_failed) order by j.id) j
    where (select q.dead_letter_queue from pgqueue.queue q where q.name = j.queue) is not null);
  if cardinality(v_dead) = 0 then
    return;
  end if;
  v_letters := array(
    with job as materialized (
      select j.* from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_dead)),
    letter as (
      select j.*, (select q.dead_letter_queue from pgqueue.queue q where q.name = j.queue) as goes_to,
        case when jsonb_typeof(j.headers #> '{dead_letter,path}') = 'array' then j.headers #> '{dead_letter,path}' else '[]' end as path
      from job j)
    select (nextval('pgqueue.job_id'), l.kind, l.args, l.goes_to, l.priority, pgqueue._now(), null, l.group_key, null, null, null, null, null,
      coalesce(l.headers, '{}') || jsonb_build_object('dead_letter', jsonb_build_object('job', l.id, 'queue', l.queue,
        'reason', reasons[array_position(jobs, l.id)], 'attempts', attempts[array_position(jobs, l.id)],
        'error', (select e.error from pgqueue.attempt_error e where e.job_id = l.id order by e.failed_at desc limit 1),
        'path', case when l.path ? l.queue then l.path else l.path || to_jsonb(l.queue) end)),
      null, null, null, null, null, null, null, null, null, null)::pgqueue.new_job
    from letter l
    -- Not where it has been: so a ring of queues comes to an end. And a job that failed, was retried, and failed again has its letter.
    where not l.path ? l.goes_to
      and (select e.job_id from pgqueue.job_event e where e.job_id = l.id and e.event = 'dead-lettered' limit 1) is null
    order by l.id);
  if cardinality(v_letters) > 0 then
    perform pgqueue._note_event((l.headers #>> '{dead_letter,job}')::bigint, 'dead-lettered', jsonb_build_object('job', l.id, 'queue', l.queue))
    from unnest(v_letters) l;
    perform pgqueue._store_jobs(v_letters, pgqueue._now());
  end if;
end $$;
