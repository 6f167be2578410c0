create function pgqueue.settle_and_claim(
  worker bigint,
  leases bigint[],
  jobs bigint[],
  outcomes text[],
  results jsonb[],
  errors jsonb[],
  delays interval[],
  queues text[],
  n integer default 1,
  urgent boolean default false)
returns table (
  problem text,
  lease bigint,
  id bigint,
  queue text,
  kind text,
  args jsonb,
  attempt integer,
  max_attempts integer,
  priority integer,
  timeout interval,
  heartbeat interval,
  headers jsonb,
  group_key text,
  unique_key text,
  crashes integer,
  created_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
  select s.problem, s.lease, s.job_id, null::text, null::text, null::jsonb, null::integer, null::integer, null::integer, null::interval,
    null::interval, null::jsonb, null::text, null::text, null::integer, null::timestamptz
  from pgqueue.settle(settle_and_claim.leases, settle_and_claim.jobs, settle_and_claim.outcomes, settle_and_claim.results,
    settle_and_claim.errors, settle_and_claim.delays) s;
  return query
  select null::text, c.lease, c.id, c.queue, c.kind, c.args, c.attempt, c.max_attempts, c.priority, c.timeout, c.heartbeat, c.headers,
    c.group_key, c.unique_key, c.crashes, c.created_at
  from pgqueue.claim(settle_and_claim.worker, settle_and_claim.queues, settle_and_claim.n, settle_and_claim.urgent) c;
end $$;

comment on function pgqueue.settle_and_claim is
'settle and the next claim in one call and one transaction. Rows with a problem name a lease and a job that settle did not accept; the others are
claimed jobs. Errors: those of settle and of claim; neither has happened then.';
