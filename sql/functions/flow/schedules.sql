create function pgqueue.schedules()
returns table (
  name text,
  cron text,
  time_zone text,
  kind text,
  queue text,
  missed text,
  paused boolean,
  next_run timestamptz,
  last_run timestamptz,
  last_job bigint,
  last_error text,
  args jsonb,
  priority integer,
  unique_key text,
  group_key text,
  max_attempts integer,
  timeout interval,
  expires_in interval,
  heartbeat interval,
  backoff jsonb,
  headers jsonb,
  starts_at timestamptz,
  ends_at timestamptz,
  declared_by text,
  created_at timestamptz,
  updated_at timestamptz,
  unique_by text[],
  unique_until text,
  unique_for interval,
  on_duplicate text,
  on_success jsonb,
  on_error jsonb)
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.name, s.cron, s.time_zone, s.kind, s.queue, s.missed, s.paused_at is not null, s.next_run, s.last_run, s.last_job, s.last_error, s.args, s.priority,
    s.unique_key, s.group_key, s.max_attempts, s.timeout, s.expires_in, s.heartbeat, s.backoff, s.headers, s.starts_at, s.ends_at, s.declared_by, s.created_at,
    s.updated_at, s.unique_by, s.unique_until, s.unique_for, s.on_duplicate, s.on_success, s.on_error
  from pgqueue.schedule s order by s.name;
$$;

comment on function pgqueue.schedules is
'All schedules by name. next_run: the next tick, null while paused and when there is none any more. last_run: the tick of the last job, last_job its id. last_error: why the tick that
is due could not be enqueued, and is tried again; or, with on_duplicate raise, why the last one was passed over; null when all is well. declared_by: the program that declares it.';
