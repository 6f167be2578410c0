-- Takes outcomes in, lease by lease in the order of their ids. The lease is the fence: what it does not hold is refused, told apart from what is
-- only locked for a moment, and nothing waits. A lease settled whole, every job succeeded, none with traits, is the hot path: one insert, one delete.
create function pgqueue.settle(
  leases bigint[],
  jobs bigint[],
  outcomes text[],
  results jsonb[] default null,
  errors jsonb[] default null,
  delays interval[] default null)
returns table (lease bigint, job_id bigint, problem text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set enable_nestloop = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_easy boolean;
  v_whole bigint[];
  v_id bigint;
  v_lease pgqueue.lease;
  v_named integer;
  v_done bigint[];
  v_attempts smallint[];
  v_traits integer[];
  v_results jsonb[];
  v_undone bigint[];
  v_outcomes text[];
  v_undone_attempts smallint[];
  v_undone_traits integer[];
  v_errors jsonb[];
  v_delays interval[];
begin
  -- The hot path: a whole lease without traits, every job succeeded, every outcome kept. In as few statements and expressions as it takes: each
  -- is prepared anew in every transaction.
  v_easy := 'succeeded' = all(outcomes) and array_ndims(jobs) = 1 and array_ndims(outcomes) = 1 and delays is null and errors is null
    and cardinality(leases) = cardinality(jobs) and cardinality(outcomes) = cardinality(jobs)
    and coalesce(cardinality(results) = cardinality(jobs), true);
  if v_easy and leases[1] = all(leases) then
    with whole as (
      delete from pgqueue.lease l
      where l.ctid = (
        select l.ctid from pgqueue.lease l
        where l.id = leases[1] and l.job_ids = jobs and l.traits is null and l.forget = 0 for update skip locked)
      returning l.worker_id, l.claimed_at, l.attempts)
    insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt, result)
    select e.id, pgqueue._now(), h.claimed_at, h.worker_id, 'succeeded', e.attempt, e.result
    from whole h cross join lateral unnest(jobs, h.attempts, results) e(id, attempt, result);
    if found then
      if not pgqueue._nobody_waits() then
        perform pgqueue._announce(jobs);
      end if;
      return;
    end if;
  end if;

  perform pgqueue._check_settle(leases, jobs, outcomes, results, errors, delays);
  v_whole := array[]::bigint[];
  if v_easy and leases[1] <> any(leases) then
    v_whole := pgqueue._settle_whole(leases, jobs, results);
  end if;
  v_easy := 'succeeded' = all(outcomes);
  if leases[1] <> any(leases) or not v_easy then
    perform pgqueue._lock_batches(leases, jobs);
  end if;
  for v_id in select distinct i from unnest(leases) i where i <> all(v_whole) order by i loop
    select * into v_lease from pgqueue.lease l where l.id = v_id for update skip locked;
    if not found then
      return query
      select i.lease, i.job, case when exists (select from pgqueue.lease l where l.id = v_id) then 'busy' else 'stale' end
      from unnest(leases, jobs) i(lease, job) where i.lease = v_id;
      continue;
    end if;

    if v_easy and jobs = v_lease.job_ids and v_id = all(leases) then
      perform pgqueue._finish(jobs, null, null, v_lease.attempts, v_lease.traits, results, v_lease.worker_id, v_lease.claimed_at, v_lease.forget);
      delete from pgqueue.lease l where l.id = v_id;
      continue;
    end if;

    select count(*),
      array_agg(i.job) filter (where h.id is not null and i.outcome = 'succeeded'),
      array_agg(h.attempt) filter (where h.id is not null and i.outcome = 'succeeded'),
      array_agg(h.traits) filter (where h.id is not null and i.outcome = 'succeeded'),
      array_agg(i.result) filter (where h.id is not null and i.outcome = 'succeeded'),
      array_agg(i.job) filter (where h.id is not null and i.outcome <> 'succeeded'),
      array_agg(i.outcome) filter (where h.id is not null and i.outcome <> 'succeeded'),
      array_agg(h.attempt) filter (where h.id is not null and i.outcome <> 'succeeded'),
      array_agg(coalesce(h.traits, 0)) filter (where h.id is not null and i.outcome <> 'succeeded'),
      array_agg(i.error) filter (where h.id is not null and i.outcome <> 'succeeded'),
      array_agg(i.delay) filter (where h.id is not null and i.outcome <> 'succeeded')
    into v_named, v_done, v_attempts, v_traits, v_results, v_undone, v_outcomes, v_undone_attempts, v_undone_traits, v_errors, v_delays
    from unnest(leases, jobs, outcomes, results, errors, delays) i(lease, job, outcome, result, error, delay)
    left join unnest(v_lease.job_ids, v_lease.attempts, v_lease.traits) h(id, attempt, traits) on h.id = i.job
    where i.lease = v_id;
    if coalesce(cardinality(v_done), 0) + coalesce(cardinality(v_undone), 0) < v_named then
      return query
      select v_id, i.job, 'stale' from unnest(leases, jobs) i(lease, job) where i.lease = v_id and i.job <> all(v_lease.job_ids);
    end if;
    if v_done is not null or v_undone is not null then
      perform pgqueue._unlease(v_lease, v_done || v_undone);
    end if;
    if v_done is not null then
      perform pgqueue._finish(v_done, null, null, v_attempts, case when v_lease.traits is not null then v_traits end, v_results,
        v_lease.worker_id, v_lease.claimed_at, v_lease.forget);
    end if;
    if v_undone is not null then
      perform pgqueue._settle_unsuccessful(v_lease, v_undone, v_outcomes, v_undone_attempts, v_undone_traits, v_errors, v_delays);
    end if;
  end loop;
end $$;

comment on function pgqueue.settle is
'Hands in outcomes of jobs that claims gave out; the arrays are parallel. outcomes: succeeded (with results[i]); failed (tried again by the job''s policy
while attempts are left); timeout (the same, reason timeout); retry (the same, but after delays[i]); snooze (runs again after delays[i], no attempt
spent); release (back to its queue at once, no attempt spent); cancelled; discard (failed, whatever attempts are left). errors[i]: an object such as
{"type", "message", "traceback"}, kept for every attempt. Returns a row only for what was not accepted: problem ''stale'' (the lease does not hold that job:
drop it) or ''busy'' (another session is at that lease just now: try again). Errors: PQ001; nothing of the call is stored then.';
