create function pgqueue._check_settle(
  leases bigint[],
  jobs bigint[],
  outcomes text[],
  results jsonb[],
  errors jsonb[],
  delays interval[]) returns void
language plpgsql
as $$
declare
  v_count integer := cardinality(jobs);
  v_bad record;
begin
  if leases is null or jobs is null or outcomes is null or greatest(array_ndims(leases), array_ndims(jobs), array_ndims(outcomes)) > 1
    or cardinality(leases) <> v_count or cardinality(outcomes) <> v_count
    or cardinality(results) <> v_count or cardinality(errors) <> v_count or cardinality(delays) <> v_count then
    perform pgqueue._refuse('PQ001', 'the arrays are not of one dimension and the same length',
      'Give leases, jobs and outcomes with one element for each job; results, errors and delays the same, or null.');
  end if;
  if array_position(leases, null) is not null or array_position(jobs, null) is not null then
    perform pgqueue._refuse('PQ001', 'a lease or a job is null', 'Name the lease and the job as the claim gave them.');
  end if;
  if 'succeeded' = all(outcomes) then
    return;
  end if;
  select i.job, i.outcome, i.delay into v_bad
  from unnest(jobs, outcomes, delays) with ordinality i(job, outcome, delay, ord)
  where i.outcome is null
    or i.outcome not in ('succeeded', 'failed', 'timeout', 'retry', 'snooze', 'release', 'cancelled', 'discard')
    or i.outcome in ('retry', 'snooze') and (i.delay is null or i.delay < interval '0')
  order by i.ord limit 1;
  if found then
    if v_bad.outcome in ('retry', 'snooze') then
      perform pgqueue._refuse('PQ001', format('job %s: %s with delay %s', v_bad.job, v_bad.outcome, coalesce(v_bad.delay::text, 'null')),
        'Give delays[i] as an interval of at least zero.');
    end if;
    perform pgqueue._refuse('PQ001', format('job %s: outcome %s is unknown', v_bad.job, coalesce(quote_literal(v_bad.outcome), 'null')),
      'Outcomes are succeeded, failed, timeout, retry, snooze, release, cancelled and discard.');
  end if;
  perform pgqueue._check_interval('delay of job ' || i.job, i.delay, false) from unnest(jobs, delays) i(job, delay) where i.delay is not null;
end $$;
