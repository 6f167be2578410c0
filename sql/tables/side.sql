-- Rows that exist only where such a thing happens.

-- (queue, unique_key) → the job that holds the key: a live one, or, when the key is held for a period, the one that took it, whatever has become of it.
-- `until`: the end of that period; null: the key is given up at the job's finish or start.
create table pgqueue.job_key (
  queue text collate "C" not null,
  unique_key text collate "C" not null,
  job_id bigint not null unique,
  until timestamptz,
  primary key (queue, unique_key));
create index job_key_until on pgqueue.job_key (until) where until is not null;

-- Jobs that gave up their key while an enqueue had its row locked, who does not wait for that. The enqueue takes the key over; or it is rolled back, and the row of job_key
-- is left behind: whoever is here holds no key.
create table pgqueue.left_key (job_id bigint primary key);

-- Queue timeouts: when a job that has not started by then fails.
create table pgqueue.deadline (
  expires_at timestamptz not null,
  job_id bigint not null);
create index on pgqueue.deadline (expires_at);

-- Cancels of running jobs, until the worker has answered.
create table pgqueue.cancel_request (
  job_id bigint primary key,
  requested_at timestamptz not null,
  why text);

-- What running jobs say of themselves.
create table pgqueue.progress (
  job_id bigint primary key,
  lease_id bigint not null,
  heartbeat_at timestamptz not null,
  progress jsonb) with (fillfactor = 50);

-- Who waits for an outcome and listens. Lost in a crash of the server, and so are the listeners: unlogged.
create unlogged table pgqueue.waiter (
  job_id bigint not null,
  expires_at timestamptz not null);
create index on pgqueue.waiter (job_id);
create index on pgqueue.waiter (expires_at);

create table pgqueue.worker (
  id bigint generated always as identity primary key,
  name text not null,
  queues text[] not null,
  concurrency integer not null check (concurrency >= 1),
  info jsonb not null,
  started_at timestamptz not null,
  heartbeat_at timestamptz not null) with (fillfactor = 50);

comment on table pgqueue.job_key is 'Unique keys, and the jobs that hold them.';
comment on table pgqueue.left_key is 'Jobs that gave up a unique key while its row was locked.';
comment on table pgqueue.deadline is 'Queue timeouts to come.';
comment on table pgqueue.cancel_request is 'Cancels that running jobs have been asked for.';
comment on table pgqueue.progress is 'Last heartbeat and progress of jobs that report them.';
comment on table pgqueue.waiter is 'Sessions that listen for the outcome of a job.';
comment on table pgqueue.worker is 'Registered workers; one whose heartbeat ran out is removed and its jobs are rescued.';
