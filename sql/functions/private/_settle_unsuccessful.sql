-- What happens to jobs of one lease whose attempt did not simply succeed. Not the hot path: the job rows are read here, for their retry policy.
-- A pending cancel turns whatever would run again into cancelled. The caller has locked the lease and takes the jobs out of it.
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
    select e.id, j.queue, coalesce(p.priority, j.priority) as priority, e.attempt, e.traits, s.state,
      (case when e.outcome in ('snooze', 'release') then e.attempt - 1 else e.attempt end)::smallint as spent,
      case
        when s.state = 'cancelled' and c.job_id is not null then 'cancelled_by_user'
        when s.state = 'cancelled' then 'cancelled_by_worker'
        when e.outcome = 'timeout' then 'timeout'
        else 'error' end as reason,
      case
        when s.state is not null then null
        when e.outcome = 'release' then interval '0'
        when e.outcome in ('snooze', 'retry') then e.delay
        else pgqueue._backoff(coalesce(j.backoff, q.backoff), e.attempt) end as delay
    from unnest(jobs, outcomes, attempts, _settle_unsuccessful.traits, delays) e(id, outcome, attempt, traits, delay)
    join pgqueue.job j on j.id = e.id and j.id between v_low and v_high and j.id = any(jobs)
    left join pgqueue.queue q on q.name = j.queue
    left join pgqueue.cancel_request c on c.job_id = e.id
    left join pgqueue.changed_priority p on p.job_id = e.id
    cross join lateral (
      select case
        when e.outcome = 'discard' then 'failed'
        when e.outcome = 'cancelled' or c.job_id is not null then 'cancelled'
        when e.outcome in ('failed', 'timeout', 'retry') and e.attempt >= coalesce(j.max_attempts, q.max_attempts, 5) then 'failed'
        end as state) s
    order by e.id) v;

  if v_final is not null then
    perform pgqueue._finish(v_final, v_states, v_reasons, v_ends, v_end_traits, null, (lease).worker_id, (lease).claimed_at, (lease).forget);
    delete from pgqueue.cancel_request c where c.job_id = any(v_final);
  end if;
  perform pgqueue._enter(v_again, v_queues, v_priorities, v_spent, v_traits, true);
  if v_later is not null then
    perform pgqueue._schedule(v_later, v_later_queues, v_later_priorities, v_later_spent, v_later_traits, v_due);
  end if;
end $$;
