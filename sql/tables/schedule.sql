-- Schedules: what is enqueued at which times. `next_run` is the tick that is owed next; `due_at` is when upkeep looks at the row, which is the same time but after a
-- failure, when it is later. Both are null while nothing is owed: paused, or over.
create table pgqueue.schedule (
  name text collate "C" primary key check (length(name) between 1 and 200),
  cron text not null,
  time_zone text not null,
  kind text not null,
  args jsonb not null,
  queue text collate "C" not null,
  missed text not null check (missed in ('skip', 'one', 'all')),
  priority integer not null,
  unique_key text,
  group_key text,
  max_attempts integer,
  timeout interval,
  expires_in interval,
  heartbeat interval,
  backoff jsonb,
  headers jsonb,
  unique_by text[],
  unique_until text,
  unique_for interval,
  on_duplicate text,
  on_success jsonb,
  on_error jsonb,
  starts_at timestamptz,
  ends_at timestamptz,
  paused_at timestamptz,
  next_run timestamptz,
  due_at timestamptz,
  last_run timestamptz,
  last_job bigint,
  last_error text,
  declared_by text collate "C",
  declared jsonb,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  check (due_at >= next_run and (paused_at is null or next_run is null))) with (fillfactor = 50);
create index schedule_due on pgqueue.schedule (due_at);
create index schedule_declared on pgqueue.schedule (declared_by) where declared_by is not null;

comment on table pgqueue.schedule is 'Schedules: what is enqueued at which times.';
