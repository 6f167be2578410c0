-- What happens to jobs of one lease whose attempt did not simply succeed. Not the hot path: the job rows are read here, for their retry policy.
-- A pending cancel turns whatever would run again into cancelled. The caller has locked the lease and takes the jobs out of it.
--
-- Called from settle, which forbids nested loops: so job rows are read by array, and what only a few jobs have by scalar subqueries (an `exists` would be
-- answered from a hash of the whole table).
create function pgqueue._settle_unsuccessful(
  lease pgqueue.lease,
  jobs bigint[],
  outcomes text[],
  attempts smallint[],
  traits integer[],
  errors jsonb[],
  delays interval[]) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_low bigint;
  v_high bigint;
  v_final bigint[];
  v_states text[];
  v_reasons text[];
  v_ends smallint[];
  v_end_traits integer[];
  v_again bigint[];
  v_later bigint[];
  v_queues text[];
  v_priorities smallint[];
  v_spent smallint[];
  v_traits integer[];
  v_due timestamptz[];
  v_later_queues text[];
  v_later_priorities smallint[];
  v_later_spent smallint[];
  v_later_traits integer[];
begin
  select min(e.id), max(e.id) into v_low, v_high from unnest(jobs) e(id);
  insert into pgqueue.attempt_error (job_id, failed_at, worker_id, attempt, reason, error)
  select e.id, v_now, (lease).worker_id, e.attempt, case e.outcome when 'timeout' then 'timeout' else 'error' end, e.error
  from unnest(jobs, outcomes, attempts, errors) e(id, outcome, attempt, error)
  where e.outcome in ('failed', 'timeout', 'discard') or e.error is not null;

  select
    array_agg(v.id) filter (where v.state is not null), array_agg(v.state) filter (where v.state is not null),
    array_agg(v.reason) filter (where v.state is not null), array_agg(v.attempt) filter (where v.state is not null),
    array_agg(v.traits) filter (where v.state is not null),
    array_agg(v.id) filter (where v.delay <= interval '0'), array_agg(v.queue) filter (where v.delay <= interval '0'),
    array_agg(v.priority) filter (where v.delay <= interval '0'), array_agg(v.spent) filter (where v.delay <= interval '0'),
    array_agg(v.traits) filter (where v.delay <= interval '0'),
    array_agg(v.id) filter (where v.delay > interval '0'), array_agg(v.queue) filter (where v.delay > interval '0'),
    array_agg(v.priority) filter (where v.delay > interval '0'), array_agg(v.spent) filter (where v.delay > interval '0'),
    array_agg(v.traits) filter (where v.delay > interval '0'), array_agg(v_now + v.delay) filter (where v.delay > interval '0')
  into v_final, v_states, v_reasons, v_ends, v_end_traits,
    v_again, v_queues, v_priorities, v_spent, v_traits,
    v_later, v_later_queues, v_later_priorities, v_later_spent, v_later_traits, v_due
  from (
    with job as materialized (
      select j.id, j.queue, j.priority, j.max_attempts, j.backoff
      from pgqueue.job j where j.id between v_low and v_high and j.id = any(jobs)),
    given as materialized (
      select e.id, e.outcome, e.attempt, e.traits, e.delay, j.queue, j.backoff, j.max_attempts,
        case when e.traits & 64 = 0 then j.priority else (select p.priority from pgqueue.changed_priority p where p.job_id = e.id) end as priority,
        (select c.job_id from pgqueue.cancel_request c where c.job_id = e.id) is not null as asked
      from unnest(jobs, outcomes, attempts, _settle_unsuccessful.traits, delays) e(id, outcome, attempt, traits, delay)
      join job j on j.id = e.id),
    judged as (
      select g.*,
        case
          when g.outcome = 'discard' then 'failed'
          when g.outcome = 'cancelled' or g.asked then 'cancelled'
          when g.outcome in ('failed', 'timeout', 'retry') and g.attempt >= coalesce(
            g.max_attempts, (select q.max_attempts from pgqueue.queue q where q.name = g.queue), 5) then 'failed'
          end as state
      from given g),
    placed as (
      -- What waits again wants its unique key again.
      select g.*, case when g.state is null and g.traits & 2049 <> 0 then pgqueue._retake_key(g.id) end as key
      from judged g
      offset 0)
    select g.id, g.queue, g.priority, g.attempt, case when g.outcome = 'release' then g.traits else g.traits & ~16 end as traits,
      case when g.key = 'superseded' then 'cancelled' else g.state end as state,
      (case when g.outcome in ('snooze', 'release') then g.attempt - 1 else g.attempt end)::smallint as spent,
      case
        when g.key = 'superseded' then g.key
        when g.state = 'cancelled' and g.asked then 'cancelled_by_user'
        when g.state = 'cancelled' then 'cancelled_by_worker'
        when g.outcome = 'timeout' then 'timeout'
        else 'error' end as reason,
      case when g.state is null and g.key is distinct from 'superseded' then greatest(
        case
          when g.outcome = 'release' then interval '0'
          when g.outcome in ('snooze', 'retry') then g.delay
          else pgqueue._backoff(coalesce(g.backoff, (select q.backoff from pgqueue.queue q where q.name = g.queue)), g.attempt) end,
        case when g.key = 'uncertain' then interval '1 second' end) end as delay
    from placed g
    order by g.id) v;

  if v_final is not null then
    perform pgqueue._finish(v_final, v_states, v_reasons, v_ends, v_end_traits, null, (lease).worker_id, (lease).claimed_at, (lease).forget);
    delete from pgqueue.cancel_request c where c.job_id = any(v_final);
  end if;
  perform pgqueue._enter(v_again, v_queues, v_priorities, v_spent, v_traits, true);
  if v_later is not null then
    perform pgqueue._schedule(v_later, v_later_queues, v_later_priorities, v_later_spent, v_later_traits, v_due);
  end if;
end $$;
