-- The hot tables. Narrow rows that come and go; vacuum is told to follow closely.
--
-- `traits` is a bit mask that travels from ready into the lease, so that settling a plain job touches nothing but lease and outcome:
--   1 unique key until it ends · 2 group · 4 timeout · 8 heartbeat promise · 16 queue timeout, until it first starts · 32 came out of a crash · 64 priority was changed
--   128 its owner takes turns (tables/line.sql) · 256 one turn at a time · 512 carries rows of a batch · 1024 is an item of a keyed queue
--   2048 a unique key that it gives up when it starts
--   4096 jobs wait for its end · 8192 has follow-ups (tables/dependent.sql)

-- One row per queued job. `seq` is new each time a job becomes ready. `attempt` counts the attempts already spent.
create table pgqueue.ready (
  seq bigint not null,
  job_id bigint not null,
  traits integer not null,
  priority smallint not null,
  attempt smallint not null,
  queue text collate "C" not null)
  with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create unique index ready_turn on pgqueue.ready (queue, priority desc, seq);
-- A job's first turn is its id, so a row of a first turn is found by the lane and number its job row says; only later turns need an index of their own,
-- which most jobs never enter. See _in_ready.
create unique index ready_job on pgqueue.ready (job_id) where seq <> job_id;

-- One row per claim call and queue. Running = in a lease. `traits` is null when no job of the lease has any. Worker 0 are the clients of keyed queues: each of their items has a heartbeat of its own.
-- `forget`: 0 keep every outcome, 1 only unsuccessful ones, 2 none.
create sequence pgqueue.lease_id;

create table pgqueue.lease (
  id bigint primary key,
  worker_id bigint not null,
  claimed_at timestamptz not null,
  forget smallint not null,
  queue text collate "C" not null,
  job_ids bigint[] not null,
  attempts smallint[] not null,
  traits integer[],
  constraint lease_parallel check (cardinality(job_ids) > 0 and cardinality(attempts) = cardinality(job_ids)
    and coalesce(cardinality(traits) = cardinality(job_ids), true)))
  with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index lease_worker on pgqueue.lease (worker_id);

-- Jobs that wait for a time: delays, retries, snoozes. Upkeep promotes them.
create table pgqueue.scheduled (
  run_at timestamptz not null,
  job_id bigint primary key,
  traits integer not null,
  priority smallint not null,
  attempt smallint not null,
  queue text collate "C" not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index scheduled_due on pgqueue.scheduled (run_at);

-- Jobs that came out of a crashed lease and are claimed alone, so that a poison job shows itself.
create table pgqueue.suspect (
  seq bigint not null,
  job_id bigint primary key,
  traits integer not null,
  priority smallint not null,
  attempt smallint not null,
  crashes smallint not null,
  queue text collate "C" not null);
create index suspect_turn on pgqueue.suspect (queue, seq);

-- Crash counts of jobs that have any.
create table pgqueue.crash (
  job_id bigint primary key,
  crashes smallint not null);

-- Priorities changed after enqueue; the job row keeps what was asked.
create table pgqueue.changed_priority (
  job_id bigint primary key,
  priority smallint not null);

comment on table pgqueue.crash is 'Crash counts of live jobs that were in any.';
comment on table pgqueue.changed_priority is 'Priorities of live jobs that were changed after enqueue.';
comment on table pgqueue.ready is 'Queued jobs, one narrow row each.';
comment on table pgqueue.lease is 'Claims in progress: the arrays hold the jobs still unsettled. Running means: in a lease.';
comment on table pgqueue.scheduled is 'Jobs that wait for a time.';
comment on table pgqueue.suspect is 'Jobs whose worker was lost, waiting to be claimed alone.';
