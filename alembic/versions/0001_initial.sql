-- Frozen from sql/ by alembic/freeze.py: edit there.
set local check_function_bodies = off;

-- source: sql/schema.sql
-- pgqueue: the life of a job, in tables.
--
--   enqueue ──► job (written once) ──► ready ──claim──► lease ──settle──► outcome (written once)
--                  │                     ▲                │
--                  ├─► scheduled ────────┤◄── retry ──────┤      due times, retries, snoozes
--                  ├─► arrival ► blocked ┘                │      jobs with a group, waiting for a slot
--                  ├─► suspect ◄────────── lost worker ───┤      jobs that came out of a crash, claimed alone
--                  └─► arrival ► line ◄─── between turns ─┘      scripts and queries, whose owners take turns
--
-- Facts are appended and never updated: `job` says what was asked, `outcome` how it ended, `attempt_error` what went wrong on the
-- way, `job_log` and `job_event` what it said and what was done to it. The five are cut into blocks by job id, made ahead, and dropped whole once everything in them is final and past retention.
-- What churns is narrow: `ready` (one row per queued job) and `lease` (one row per claim and queue, whatever the number of jobs).
--
-- A live job is in exactly one of ready, scheduled, arrival, blocked, suspect, line or a lease; a final one has its outcome. There is no
-- state column: a state is where the job stands, and the functions of the room `inspect` turn that into one word.
--
-- A lease is the fence. Its arrays hold the jobs that are still unsettled; what is no longer in them is refused, so no interleaving of
-- late workers, rescues and cancels records two outcomes for one job.
--
-- Nothing that runs inside a user's transaction (enqueue, cancel) takes a lock that a claim, a settle or another enqueue waits for. Hence:
-- no foreign keys, no counters, no upserts of shared rows on the way, and a `lane` table without a unique constraint.
--
-- The word pgqueue in these files means "this schema": the installer may render it under another name.

do $$
begin
  -- `create schema if not exists` wants CREATE on the database even when the schema is there; a DBA may have made it, and then it is the DBA's.
  if to_regnamespace('pgqueue') is null then
    create schema pgqueue;
  end if;
end $$;

-- source: sql/roles.sql
-- Four roles by purpose; grant them to login roles. Roles belong to the whole cluster, so they may be there already, and an installer
-- without CREATEROLE goes on without them: then only the owner can call the functions until a DBA has made the roles and grants.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['pgqueue_producer', 'pgqueue_worker', 'pgqueue_operator', 'pgqueue_reader'] loop
    if to_regrole(v_role) is null then
      begin
        execute format('create role %I nologin', v_role);
      exception
        when duplicate_object or unique_violation then null;  -- another installation made it between the look and the act
        when insufficient_privilege then
          raise notice 'role % was not created: ask a superuser for it and apply the grants again', v_role;
      end;
    end if;
  end loop;
end $$;

-- source: sql/types.sql
-- Shapes that functions return and take. The tables' own types are made with them.

create type pgqueue.final_state as enum ('succeeded', 'failed', 'cancelled');

-- What becomes of a job when one it waits for fails or is cancelled.
create type pgqueue.parent_policy as enum ('cancel', 'run', 'wait');

-- What the function job returns.
create type pgqueue.job_info as (
  id bigint,
  queue text,
  kind text,
  state text,
  reason text,
  priority integer,
  args jsonb,
  attempt integer,
  max_attempts integer,
  crashes integer,
  run_at timestamptz,
  created_at timestamptz,
  claimed_at timestamptz,
  finished_at timestamptz,
  worker_id bigint,
  unique_key text,
  group_key text,
  timeout interval,
  expires_at timestamptz,
  heartbeat interval,
  headers jsonb,
  progress jsonb,
  cancel_requested boolean,
  result jsonb,
  error jsonb);

-- What the function jobs returns.
create type pgqueue.job_line as (
  id bigint,
  queue text,
  kind text,
  state text,
  reason text,
  priority integer,
  attempt integer,
  max_attempts integer,
  run_at timestamptz,
  created_at timestamptz,
  claimed_at timestamptz,
  finished_at timestamptz,
  worker_id bigint,
  unique_key text,
  group_key text);

-- One element of enqueue_many, converted and checked, on its way into the tables. `depends_on` are ids, `refs` names of other elements of the same call.
create type pgqueue.new_job as (
  id bigint,
  kind text,
  args jsonb,
  queue text,
  priority smallint,
  due timestamptz,
  unique_key text,
  group_key text,
  max_attempts smallint,
  timeout interval,
  expires_at timestamptz,
  heartbeat interval,
  backoff jsonb,
  headers jsonb,
  traits integer,
  unique_until text,
  unique_for interval,
  on_duplicate text,
  depends_on bigint[],
  refs text[],
  on_parent_failure text,
  on_success jsonb,
  on_error jsonb,
  ref text);

-- What the function failures returns.
create type pgqueue.failure_line as (
  queue text,
  kind text,
  reason text,
  error_type text,
  message text,
  jobs bigint,
  first_at timestamptz,
  last_at timestamptz,
  last_job bigint);

-- A filter of jobs, read from JSON; null: not asked for. `states` are those that were named.
create type pgqueue.job_filter as (
  queue text,
  kind text,
  states text[],
  reason text,
  error_type text,
  group_key text,
  unique_key text,
  priority integer,
  args jsonb,
  headers jsonb,
  ids bigint[],
  before_id bigint,
  after_id bigint,
  created_before timestamptz,
  created_after timestamptz,
  finished_before timestamptz,
  finished_after timestamptz);

-- A lane as a claim looks at it, with its queue's settings and this session's cursor.
create type pgqueue.lane_in_view as (
  queue text,
  priority smallint,
  grouped boolean,
  max_running integer,
  forget smallint,
  special boolean,
  floor bigint,
  expires float8);

-- What the function scripts returns.
create type pgqueue.script_line as (
  id bigint,
  owner text,
  queue text,
  status text,
  fallback_status text,
  failed_reason text,
  queries integer,
  done integer,
  created_at timestamptz,
  updated_at timestamptz,
  ended_at timestamptz);

-- What the function query_status returns.
create type pgqueue.query_info as (
  id bigint,
  owner text,
  state text,
  reason text,
  error jsonb,
  row_count bigint,
  byte_count bigint,
  batches integer,
  columns jsonb,
  command text,
  run integer,
  notices jsonb,
  submitted_at timestamptz,
  started_at timestamptz,
  ended_at timestamptz,
  updated_at timestamptz,
  expires_at timestamptz);

-- What the functions batch_status and batch_list return.
create type pgqueue.batch_info as (
  id bigint,
  app text,
  op text,
  kind text,
  owner text,
  status text,
  try_later boolean,
  rows integer,
  pending integer,
  succeeded integer,
  failed integer,
  aborted integer,
  context jsonb,
  submitted_at timestamptz,
  released_at timestamptz,
  done_at timestamptz,
  files jsonb,
  waits_for text[]);

-- A cron expression, read: which minutes, hours, days … it names, sorted; Sunday is 0. both_days: the day of the month and the day of the week must match, not either.
-- fixed: it names times of the clock on the wall, which come once whatever the clock does; the others follow the time that passes.
create type pgqueue.cron_spec as (
  minutes integer[],
  hours integer[],
  days integer[],
  months integer[],
  weekdays integer[],
  both_days boolean,
  fixed boolean);

-- What functions of keyed queues return whose arguments have some of the same names.
create type pgqueue.keyed_item_info as (
  id bigint,
  payload text,
  extra text,
  status text,
  key text);

create type pgqueue.keyed_claim_info as (
  id bigint,
  payload text,
  extra text,
  pending integer,
  active text[],
  refused text);

create type pgqueue.keyed_add_info as (
  id bigint,
  created boolean,
  pending integer,
  active text[],
  payload text,
  extra text);

create type pgqueue.keyed_result_info as (
  id bigint,
  payload text,
  state text);

-- What the functions parents and children return.
create type pgqueue.parent_info as (
  id bigint,
  kind text,
  state text,
  reason text,
  result jsonb,
  error jsonb);

create type pgqueue.child_info as (
  id bigint,
  kind text,
  state text);
-- What the function throughput returns.
create type pgqueue.throughput_line as (
  at timestamptz,
  queue text,
  kind text,
  succeeded bigint,
  failed bigint,
  cancelled bigint,
  wait_p50 interval,
  wait_p95 interval,
  wait_max interval,
  run_p50 interval,
  run_p95 interval,
  run_max interval);

-- source: sql/tables/batch.sql
-- Batches of rows, and slow queries, which are batches of one row. The rows travel in the arguments of jobs, a slice of them in each, so that claiming a slice brings its rows;
-- what became of a row is appended to `row_outcome`, in the transaction that settles its slice.
--
-- A batch is held as long as it was asked to be (`hold`), and until the jobs it depends on have ended (`waits`). For these stands its gate: a job of the kind rows.gate in `dependent`, with
-- the trait of a slice and like one in `batch_slice`, that nobody claims. What ends a gate lets the batch go, or aborts it, with the `reason` that stands here.

create table pgqueue.batch (
  id bigint primary key,
  submitted_at timestamptz not null,
  released_at timestamptz,
  done_at timestamptz,
  expires_at timestamptz,
  kind text not null check (kind in ('batch', 'slow_query')),
  status text not null check (status in ('held', 'queued', 'succeeded', 'failed', 'aborted')),
  priority smallint not null,
  slice_size integer not null check (slice_size between 1 and 10000),
  done_job bigint,
  gate bigint,
  hold boolean not null,
  waits boolean not null,
  reason text,
  app text collate "C" not null,
  op text collate "C" not null,
  queue text collate "C" not null,
  owner text collate "C" not null,
  context jsonb not null,
  constraint batch_done check ((status in ('succeeded', 'failed', 'aborted')) = (done_at is not null))) with (fillfactor = 70);
-- Newest first. Not by the id itself: an index that holds it would at times be walked for one batch by a planner that believes the table empty; so it is with the indexes below.
create index batch_app on pgqueue.batch (app, op, (-id));
create index batch_expires on pgqueue.batch (expires_at) where expires_at is not null;

-- How far a batch has come: apart from it, since workers write here and nobody else does while the batch lives, but who aborts it.
create table pgqueue.batch_count (
  batch_id bigint primary key,
  rows integer not null,
  pending integer not null check (pending >= 0),
  succeeded integer not null default 0,
  failed integer not null default 0,
  aborted integer not null default 0,
  constraint batch_count_sum check (pending + succeeded + failed + aborted = rows)) with (fillfactor = 20);

-- Which job carries which rows. Written once; the job that gives rows on to others loses its row here.
create table pgqueue.batch_slice (
  job_id bigint primary key,
  batch_id bigint not null);
create index batch_slice_batch on pgqueue.batch_slice (batch_id);

-- Jobs that wait until their batch is let go.
create table pgqueue.held (
  job_id bigint primary key,
  batch_id bigint not null,
  traits integer not null,
  priority smallint not null,
  attempt smallint not null,
  queue text collate "C" not null);
create index held_batch on pgqueue.held (batch_id);

-- Large batches that upkeep has let go: their slices leave `held` so many a pass. Those up to `after` have.
create table pgqueue.batch_leaving (
  batch_id bigint primary key,
  after bigint not null) with (fillfactor = 50);

create table pgqueue.row_outcome (
  batch_id bigint not null,
  line integer not null,
  row_id integer not null,
  status text not null check (status in ('succeeded', 'failed', 'aborted')),
  done_at timestamptz not null,
  worker_id bigint,
  result jsonb,
  messages jsonb,
  output jsonb,
  primary key (batch_id, line, row_id));

comment on table pgqueue.batch is 'Batches of rows, and slow queries.';
comment on table pgqueue.batch_count is 'How many rows of a batch are pending, and what became of the others.';
comment on table pgqueue.batch_slice is 'The jobs that carry the rows of a batch, and the one it waits with.';
comment on table pgqueue.held is 'Slices of batches that are not let go.';
comment on table pgqueue.batch_leaving is 'Large batches whose slices are being let go.';
comment on table pgqueue.row_outcome is 'What became of each row.';

-- source: sql/tables/batch_file.sql
-- The output files of a batch: which there are, and how large. Their lines are in row_outcome.
create table pgqueue.batch_file (
  batch_id bigint not null,
  name text collate "C" not null,
  lines bigint not null,
  chars bigint not null,
  primary key (batch_id, name)) with (fillfactor = 50);

comment on table pgqueue.batch_file is 'Output files of batches; their lines are in row_outcome.';

-- source: sql/tables/config.sql
-- One row: what holds for this whole installation. `pgqueue.configure` writes it.
create table pgqueue.config (
  singleton boolean primary key default true check (singleton),
  lost_after interval not null default '30 seconds' check (lost_after > interval '0'),
  max_crashes smallint not null default 5 check (max_crashes between 1 and 1000),
  retention interval not null default '7 days' check (retention >= interval '0'),
  block_size bigint not null default 1000000 check (block_size between 1000 and 1000000000),
  blocks_ahead smallint not null default 2 check (blocks_ahead between 1 and 100),
  block_age interval not null default '1 day' check (block_age > interval '0'),
  script_max_chars integer not null default 16384 check (script_max_chars between 1 and 10000000),
  script_max_waiting integer not null default 64 check (script_max_waiting >= 0),
  sql_timeout interval not null default '12 hours' check (sql_timeout > interval '0'),
  result_ttl interval not null default '1 hour' check (result_ttl > interval '0'),
  keyed_ttl interval not null default '5 minutes' check (keyed_ttl > interval '0'),
  result_max_bytes bigint not null default 1073741824 check (result_max_bytes >= 0),
  result_max_rows bigint check (result_max_rows >= 0),
  log_retention interval not null default '90 days' check (log_retention >= interval '0'),
  job_log_lines integer not null default 1000 check (job_log_lines between 0 and 1000000),
  job_log_chars integer not null default 8192 check (job_log_chars between 1 and 1000000),
  metric_retention interval not null default '7 days' check (metric_retention >= interval '0'));

insert into pgqueue.config default values;

comment on table pgqueue.config is 'Settings of this installation, one row; see the function configure.';

-- source: sql/tables/dependent.sql
-- Jobs that wait for other jobs, and jobs that are enqueued when others end. An end is told to the dependents by whoever ends the parent, if its traits say that it has any (4096). A
-- child whose parent lives elsewhere than in its own transaction locks nothing of it: it leaves a row in `parent_look`, and upkeep gives the parent that trait, or tells its end.

-- Where a job stands that waits for others. `pending`: how many of its parents are not counted yet. `run_at`: not before then; null at once.
create table pgqueue.dependent (
  job_id bigint primary key,
  run_at timestamptz,
  pending integer not null check (pending > 0),
  traits integer not null,
  policy pgqueue.parent_policy not null,
  priority smallint not null,
  attempt smallint not null,
  queue text collate "C" not null)
  with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

-- Who waits for whom, kept as long as the child's row in `job`. `counted`: the child counts that parent as done. It is written only for children that go on waiting for others: one that
-- waits for nobody any more has left `dependent`, and nothing is counted for it.
create table pgqueue.dependency (
  parent_id bigint not null,
  child_id bigint not null,
  policy pgqueue.parent_policy not null,
  counted boolean not null,
  primary key (parent_id, child_id)) with (fillfactor = 50);

-- Parents whose children are to be looked at, those with ids from low to high. `state`: how the parent ended; null: not known, that is to be looked up. `parked`: it was looked at and
-- could not be told, since the parent runs or a child is locked: nobody hurries. Rows are never updated: what is left is put at the end anew, so that a scan has nothing dead before it.
create table pgqueue.parent_look (
  seq bigint not null,
  job_id bigint not null,
  state pgqueue.final_state,
  low bigint not null,
  high bigint not null,
  parked boolean not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index parent_look_turn on pgqueue.parent_look (seq);
create index parent_look_hurry on pgqueue.parent_look (seq) where not parked;

-- What to enqueue when a job ends: an array of jobs as enqueue_many takes them. Kept until the job has succeeded, or its row goes: one that is retried ends again.
create table pgqueue.follow_up (
  job_id bigint not null,
  outcome text not null check (outcome in ('success', 'error')),
  jobs jsonb not null,
  primary key (job_id, outcome));

-- Follow-ups that could not be enqueued when their job ended. Without an error: an open transaction was in the way, upkeep tries again. With one: for health to show.
create table pgqueue.late_follow_up (
  seq bigint primary key,
  job_id bigint not null,
  made_at timestamptz not null,
  follow_up jsonb not null,
  error text);

comment on table pgqueue.dependent is 'Jobs that wait for other jobs.';
comment on table pgqueue.dependency is 'Which jobs wait, or have waited, for which.';
comment on table pgqueue.parent_look is 'Parents whose dependents have to be told, or that have to be told that they have some.';
comment on table pgqueue.follow_up is 'Jobs to be enqueued when another ends.';
comment on table pgqueue.late_follow_up is 'Follow-ups that could not be enqueued at once, or at all.';

-- source: sql/tables/group.sql
-- Groups. Enqueue puts a job with a group_key into `arrival` without looking at the group. Claims admit arrivals under the group's
-- advisory lock: to `ready`, with a slot, if one is free, else to `blocked`. A slot is a row tied to its job, never a counter.

-- The inbox. A row without a job says: a slot of this group was freed, look at it again.
create table pgqueue.arrival (
  seq bigint not null,
  job_id bigint unique,
  traits integer not null,
  priority smallint not null,
  attempt smallint not null,
  queue text collate "C" not null,
  group_key text collate "C" not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index arrival_turn on pgqueue.arrival (queue, seq);
create index arrival_group on pgqueue.arrival (queue, group_key, seq);

create table pgqueue.blocked (
  seq bigint not null,
  job_id bigint primary key,
  traits integer not null,
  priority smallint not null,
  attempt smallint not null,
  queue text collate "C" not null,
  group_key text collate "C" not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index blocked_turn on pgqueue.blocked (queue, group_key, priority desc, seq);

-- `state`: 0 its job is admitted, 1 has been started (noted in queues whose starts are counted), 2 waits for a time and keeps its place, 3 has failed and blocks its group,
-- 4 has waited, and stands among the blocked until its start is admitted.
create table pgqueue.slot (
  job_id bigint primary key,
  queue text collate "C" not null,
  group_key text collate "C" not null,
  state smallint not null default 0) with (fillfactor = 80);
create index slot_group on pgqueue.slot (queue, group_key);
create index slot_returns on pgqueue.slot (queue) where state = 4;
create index slot_blocking on pgqueue.slot (queue, group_key) where state = 3;

-- Settings of one group that differ from its queue's.
create table pgqueue.group_setting (
  queue text collate "C" not null,
  group_key text collate "C" not null,
  weight integer check (weight between 1 and 1000),
  group_limit integer check (group_limit >= 1),
  rate_limit integer check (rate_limit between 1 and 10000),
  rate_period interval check (rate_period > interval '0'),
  updated_at timestamptz not null,
  primary key (queue, group_key));

-- Starts of groups with a rate, which are counted: claims of one group do not meet, so there is no sum to keep.
create table pgqueue.group_start (
  queue text collate "C" not null,
  group_key text collate "C" not null,
  started_at timestamptz not null,
  jobs integer not null,
  expires_at timestamptz not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index group_start_window on pgqueue.group_start (queue, group_key, started_at);
create index group_start_expired on pgqueue.group_start (expires_at);

-- Groups whose next has to wait until a start leaves the window: upkeep has them looked at again then. Doubles do no harm; were they forbidden, an admission would wait for upkeep.
create table pgqueue.group_wait (
  at timestamptz not null,
  queue text collate "C" not null,
  group_key text collate "C" not null);
create index group_wait_due on pgqueue.group_wait (at);
create index group_wait_group on pgqueue.group_wait (queue, group_key);

comment on table pgqueue.arrival is 'Jobs with a group that no claim has looked at yet.';
comment on table pgqueue.blocked is 'Jobs that wait for a slot of their group.';
comment on table pgqueue.slot is 'One row per admitted job of a group: ready or running, or keeping its place.';
comment on table pgqueue.group_setting is 'Settings of groups that differ from their queue''s; see the function configure_group.';
comment on table pgqueue.group_start is 'When jobs of groups with a rate were started.';
comment on table pgqueue.group_wait is 'Groups whose rate lets nothing start before a time.';

-- source: sql/tables/job.sql
-- What was asked. Written once: a job that waits is updated where it stands when it is enqueued anew with other arguments (_replace_job), and by an operator's edit_job and
-- move_jobs; nothing else does. `unique_until`: null its end, 'start', or 'period'. `depends_on`: the jobs it waited for, for good. Job ids and turns (`ready.seq`) are drawn from one
-- sequence: a job's first turn is its id.
create sequence pgqueue.job_id;

create table pgqueue.job (
  id bigint primary key,
  created_at timestamptz not null,
  expires_at timestamptz,
  timeout interval,
  heartbeat interval,
  priority smallint not null,
  max_attempts smallint,
  queue text collate "C" not null,
  kind text collate "C" not null,
  unique_key text collate "C",
  group_key text collate "C",
  args jsonb not null,
  backoff jsonb,
  headers jsonb,
  unique_until text collate "C",
  depends_on bigint[]) partition by range (id);

-- How it ended. One narrow row per final job; inserting it is the final transition.
create table pgqueue.outcome (
  job_id bigint primary key,
  finished_at timestamptz not null,
  claimed_at timestamptz,
  worker_id bigint,
  state pgqueue.final_state not null,
  attempt smallint not null,
  reason text,
  result jsonb,
  constraint outcome_reason check ((state = 'succeeded') = (reason is null))) partition by range (job_id);
create index outcome_unsuccessful on pgqueue.outcome (job_id) where state <> 'succeeded';
create index outcome_finished on pgqueue.outcome using brin (finished_at) with (autosummarize = on);

-- Every attempt that went wrong, appended.
create table pgqueue.attempt_error (
  job_id bigint not null,
  failed_at timestamptz not null,
  worker_id bigint,
  attempt smallint not null,
  reason text not null,
  error jsonb) partition by range (job_id);
create index on pgqueue.attempt_error (job_id);

-- What running jobs have logged, numbered in each job from 1.
create table pgqueue.job_log (
  job_id bigint,
  line integer,
  at timestamptz not null,
  attempt smallint not null,
  level text not null,
  message text not null,
  fields jsonb,
  primary key (job_id, line)) partition by range (job_id);

-- What was done to jobs from outside: changed, moved, retried.
create table pgqueue.job_event (
  job_id bigint not null,
  at timestamptz not null,
  event text not null,
  data jsonb) partition by range (job_id);
create index on pgqueue.job_event (job_id);

-- Blocks: one partition of each of the five per range of ids. The default partitions take what no block covers, so that enqueue
-- never fails for want of one; upkeep keeps blocks ahead and moves strays when it makes the block they belong to.
create table pgqueue.block (
  low bigint primary key,
  high bigint not null check (high > low),
  made_at timestamptz not null,
  look_again_at timestamptz not null);

create table pgqueue.job_default partition of pgqueue.job default;
create table pgqueue.outcome_default partition of pgqueue.outcome default;
create table pgqueue.attempt_error_default partition of pgqueue.attempt_error default;
create table pgqueue.job_log_default partition of pgqueue.job_log default;
create table pgqueue.job_event_default partition of pgqueue.job_event default;

comment on table pgqueue.job is 'What was asked: one row per job, written once.';
comment on table pgqueue.outcome is 'How it ended: one row per final job, written once.';
comment on table pgqueue.attempt_error is 'Every failed attempt of every job.';
comment on table pgqueue.job_log is 'What running jobs have logged, line by line.';
comment on table pgqueue.job_event is 'What was done to jobs from outside.';
comment on table pgqueue.block is 'The ranges of job ids that have their own partitions of job, outcome, attempt_error, job_log and job_event.';

-- source: sql/tables/keyed.sql
-- Keyed queues. An item is a job of the core, unique by (queue, key), and stands where any job stands; these tables hold what is its own. An item goes when it ends,
-- its result stays for a while.

-- What changes while the item lives. `lease_id` says which lease holds it, null while it waits: claims and returns keep it true, so that the lists and the budget of one queue are
-- read here and nowhere else. The two indexes have a half of the items each.
create table pgqueue.keyed_item (
  job_id bigint primary key,
  lease_id bigint,
  created_at timestamptz not null,
  claimed_at timestamptz,
  heartbeat_at timestamptz,
  orphan_at timestamptz,
  priority smallint not null,
  exclusive boolean not null,
  queue text collate "C" not null,
  key text collate "C" not null,
  process_id text collate "C",
  stage_key text collate "C",
  extra text)
  with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index keyed_item_pending on pgqueue.keyed_item (queue, priority desc, job_id) where lease_id is null;
create index keyed_item_active on pgqueue.keyed_item (queue, job_id) where lease_id is not null;

-- What is to be done: text of any size, written once, apart so that no list touches it.
create table pgqueue.keyed_payload (
  job_id bigint primary key,
  payload text not null);

-- Requests for an item after the first, and everybody's external id. Appended, never updated: whoever joins inside a long transaction stands in nobody's way.
create table pgqueue.keyed_request (
  job_id bigint not null,
  at timestamptz not null,
  orphan_at timestamptz,
  external_id text collate "C");
create index on pgqueue.keyed_request (job_id);

-- Results, under the ids of their items. `taken`: a read by key has had it, or a read by id has hidden it from those.
create table pgqueue.keyed_result (
  job_id bigint primary key,
  expires_at timestamptz not null,
  taken boolean not null,
  state pgqueue.final_state not null,
  queue text collate "C" not null,
  key text collate "C" not null,
  result text not null) with (fillfactor = 90);
-- An expression, which a condition on job_id alone does not fit: with the statistics of an empty table it would be looked up here, in the whole of the index. By the same token, a queue's items are sorted
-- by `job_id + 0`, which the primary key does not give.
create index keyed_result_key on pgqueue.keyed_result (queue, key, (job_id + 0) desc);
create index on pgqueue.keyed_result (expires_at);

create table pgqueue.number (
  name text collate "C" primary key,
  value bigint not null) with (fillfactor = 50);

do $$
begin
  -- As for the results of queries.
  execute 'alter table pgqueue.keyed_payload alter column payload set compression lz4';
  execute 'alter table pgqueue.keyed_result alter column result set compression lz4';
exception
  when feature_not_supported then null;
end $$;

comment on table pgqueue.keyed_item is 'Live items of keyed queues; the job of the same id is what waits and runs.';
comment on table pgqueue.keyed_payload is 'What live items of keyed queues ask for.';
comment on table pgqueue.keyed_request is 'Who asked again for an item, and under which external ids.';
comment on table pgqueue.keyed_result is 'Results of keyed queues, until they expire.';
comment on table pgqueue.number is 'Counters of next_number.';

-- source: sql/tables/line.sql
-- Jobs of owners who take turns: scripts and queries. An owner is the job's group_key. They come in through `arrival` like every job with a group; claims move them
-- to `line`, and give the next turns to the owners that have had the fewest. Between two queries of a script its job stands in line again, at the
-- head of its owner's part, since that is ordered by id.

create table pgqueue.line (
  job_id bigint primary key,
  traits integer not null,
  priority smallint not null,
  attempt smallint not null,
  queue text collate "C" not null,
  owner text collate "C" not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
create index line_turn on pgqueue.line (queue, owner, priority desc, job_id);

-- Who has the turn: one row per job of this kind that is in a lease.
create table pgqueue.turn (
  job_id bigint primary key,
  traits integer not null,
  queue text collate "C" not null,
  owner text collate "C" not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
create index turn_owner on pgqueue.turn (queue, owner);

-- How many turns each owner has had since the queue was last idle, in millionths by its weight with what is left over (see _pick_turns), and when it came. `until`: it may
-- start nothing before, as its rate is used up.
create table pgqueue.owner_turns (
  queue text collate "C" not null,
  owner text collate "C" not null,
  turns bigint not null,
  arrived bigint not null,
  rest bigint not null default 0,
  until timestamptz,
  primary key (queue, owner))
  with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
create index owner_turns_next on pgqueue.owner_turns (queue, turns, arrived) where until is null;

-- What an operator has set for one owner, over all queues.
create table pgqueue.owner (
  name text collate "C" primary key check (length(name) between 1 and 500),
  timeout interval check (timeout > interval '0'),
  max_waiting integer check (max_waiting >= 0),
  updated_at timestamptz not null);

-- The server process that runs a job's SQL, until the run has ended in order: whoever runs the job next ends that process first.
create table pgqueue.backend (
  job_id bigint primary key,
  pid integer not null,
  backend_start timestamptz not null);

comment on table pgqueue.line is 'Scripts and queries that wait for a turn of their owner.';
comment on table pgqueue.turn is 'Scripts and queries that have their turn: they run.';
comment on table pgqueue.owner_turns is 'Turns that owners have had since their queue was last idle.';
comment on table pgqueue.owner is 'Settings of owners that differ from the defaults; see the function configure_owner.';
comment on table pgqueue.backend is 'Server processes that run SQL of jobs.';

-- source: sql/tables/metric.sql
-- What has ended, by the minute in which it did. Upkeep counts outcomes into it; see _duty_metrics. wait and run: how many took so long, by powers of two of a
-- millisecond: the first element is below 1 ms, the second from 1 to below 2, the third from 2 to below 4 … as far as there is any.
create table pgqueue.metric (
  minute timestamptz not null,
  queue text collate "C" not null,
  kind text collate "C" not null,
  succeeded bigint not null,
  failed bigint not null,
  cancelled bigint not null,
  wait_buckets bigint[] not null,
  run_buckets bigint[] not null,
  wait_max interval,
  run_max interval,
  primary key (minute, queue, kind)) with (fillfactor = 70);

-- One row: up to when outcomes have been counted.
create table pgqueue.metric_mark (
  singleton boolean primary key default true check (singleton),
  counted_until timestamptz not null);

insert into pgqueue.metric_mark (counted_until) values (clock_timestamp());

comment on table pgqueue.metric is 'Outcomes by minute, queue and kind, with how long jobs waited and ran.';
comment on table pgqueue.metric_mark is 'Up to when outcomes have been counted into metric.';

-- source: sql/tables/query.sql
-- Queries. `query` says what was asked and is written once; `query_run` is the worker's; `query_chunk` holds the result. All three outlive the job: the chunks
-- until the result expires, the others, which are the audit trail, for as long as `log_retention` says.

create table pgqueue.query (
  job_id bigint primary key,
  submitted_at timestamptz not null,
  timeout interval,
  ttl interval,
  max_rows bigint,
  max_bytes bigint,
  batch_rows integer,
  read_only boolean not null,
  identity bytea not null,
  queue text collate "C" not null,
  owner text collate "C" not null,
  datasource text,
  role text,
  settings jsonb,
  params jsonb,
  sql text not null);
create index query_identity on pgqueue.query (identity, job_id);

create table pgqueue.query_run (
  job_id bigint primary key,
  run integer not null,
  batches integer not null default 0,
  kept boolean not null default false,
  row_count bigint not null default 0,
  byte_count bigint not null default 0,
  started_at timestamptz,
  updated_at timestamptz not null,
  ended_at timestamptz,
  expires_at timestamptz,
  forget_at timestamptz,
  outcome pgqueue.final_state,
  reason text,
  command text,
  columns jsonb,
  error jsonb,
  notices jsonb) with (fillfactor = 50);
create index query_run_expires on pgqueue.query_run (expires_at) where kept;
create index query_run_forget on pgqueue.query_run (forget_at) where forget_at is not null;

-- The result, in chunks of lines as COPY writes them (text format).
create table pgqueue.query_chunk (
  job_id bigint not null,
  run integer not null,
  n integer not null,
  row_count integer not null,
  data text not null,
  primary key (job_id, run, n));

-- Who asked for a run, one row for each time; those that take their interest back stay as readers.
create table pgqueue.query_caller (
  job_id bigint not null,
  owner text collate "C" not null,
  gone boolean not null default false);
create index on pgqueue.query_caller (job_id, owner);

do $$
begin
  -- Results are text that packs well, and lz4 is quick; a server built without it packs as it always does.
  execute 'alter table pgqueue.query_chunk alter column data set compression lz4';
exception
  when feature_not_supported then null;
end $$;

comment on table pgqueue.query is 'Queries as they were asked for: the audit trail, with query_run.';
comment on table pgqueue.query_run is 'How queries got on and how they ended.';
comment on table pgqueue.query_chunk is 'Results of queries, in chunks.';
comment on table pgqueue.query_caller is 'Who asked for a query that several share.';

-- source: sql/tables/query_log.sql
-- The audit trail.
create view pgqueue.query_log as
select q.job_id as id, q.owner, q.sql, q.params, q.datasource, q.role, q.settings, q.queue, q.submitted_at, r.started_at, r.ended_at,
  r.ended_at - r.started_at as took, coalesce(r.row_count, 0) as row_count, coalesce(r.byte_count, 0) as byte_count,
  r.outcome::text as outcome, r.reason, r.error ->> 'sqlstate' as sqlstate, r.error ->> 'message' as error
from pgqueue.query q left join pgqueue.query_run r on r.job_id = q.job_id;

comment on view pgqueue.query_log is
'Who asked for which query, with which parameters, as which role, when, for how long, and what came of it. Kept for log_retention after the end (90 days), longer than results and jobs are.';

-- source: sql/tables/queue.sql
-- Settings of a queue. A queue needs no row here: without one it has the defaults. Of all this the enqueue path reads max_queued only.
--
-- `most_running`: what its claims are counted against; a queue with a rate alone has a limit that is never reached, so that whatever asks whether claims of a queue
-- must meet finds one. `counted`: places of its groups are not slots alone (see _places), and the starts of its jobs are noted. `own_groups`: some of its groups have settings of their own.
create table pgqueue.queue (
  name text collate "C" primary key check (length(name) between 1 and 200),
  paused_at timestamptz,
  max_running integer check (max_running >= 0),
  group_limit integer check (group_limit >= 1),
  max_attempts smallint check (max_attempts >= 1),
  timeout interval check (timeout > interval '0'),
  backoff jsonb,
  retention interval check (retention >= interval '0'),
  history text check (history in ('all', 'failed', 'none')),
  rate_limit integer check (rate_limit >= 1),
  rate_period interval check (rate_period > interval '0'),
  group_rate_limit integer check (group_rate_limit between 1 and 10000),
  group_rate_period interval check (group_rate_period > interval '0'),
  fair boolean,
  group_failure text check (group_failure in ('release', 'block')),
  group_order text check (group_order in ('free', 'strict')),
  max_queued integer check (max_queued between 0 and 10000000),
  ageing interval check (ageing > interval '0'),
  dead_letter_queue text collate "C" check (length(dead_letter_queue) between 1 and 200 and dead_letter_queue <> name),
  updated_at timestamptz not null,
  own_groups boolean not null default false,
  most_running integer generated always as (coalesce(max_running, case when rate_limit is not null then 2147483647 end)) stored,
  counted boolean not null generated always as (coalesce(fair, false) or group_rate_limit is not null or own_groups) stored);
-- Empty in most installations: a glance tells every failure that there are no dead letters to write.
create index queue_dead on pgqueue.queue (name) where dead_letter_queue is not null;
-- Has been drawn from once there ever was a queue with max_queued: an enqueue asks this for a microsecond, and the settings for ten.
create sequence pgqueue.bounded;

create index queue_rated on pgqueue.queue (name) where rate_limit is not null;
create index queue_ageing on pgqueue.queue (name) where ageing is not null;

-- Claims of a queue with max_running or a rate meet on this row, and only those. It is apart from `queue` so that an operator's open
-- transaction over the settings stalls no worker.
create table pgqueue.limiter (queue text collate "C" primary key);

-- Starts of a queue with a rate, one row per claim, summed up: so how many there were in a window is a difference of two rows, however many they were. `jobs` are
-- those of the row itself: so rows may go from the old end, and the sums begin anew when the last has gone. Written under the queue's limiter.
create table pgqueue.rate_start (
  queue text collate "C" not null,
  started_at timestamptz not null,
  total bigint not null,
  jobs integer not null,
  expires_at timestamptz not null)
  with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index rate_start_window on pgqueue.rate_start (queue, started_at, total);
create index rate_start_expired on pgqueue.rate_start (expires_at);

-- Which (queue, priority) pairs have ever been used, so that a claim knows where to look without walking dead index entries.
-- No unique constraint: an uncommitted first row must not make another enqueue wait. Doubles are compacted by upkeep.
create table pgqueue.lane (
  queue text collate "C" not null,
  priority smallint not null,
  grouped boolean not null);
create index on pgqueue.lane (queue, priority);

comment on table pgqueue.limiter is 'One row per queue with max_running or a rate: where its claims meet.';
comment on table pgqueue.lane is 'Pairs of queue and priority that have been used: where claims look.';
comment on table pgqueue.queue is 'Settings of queues that differ from the defaults; see the function configure_queue.';
comment on table pgqueue.rate_start is 'When jobs of queues with a rate were started.';

-- source: sql/tables/ready.sql
-- The hot tables. Narrow rows that come and go; vacuum is told to follow closely.
--
-- `traits` is a bit mask that travels from ready into the lease, so that settling a plain job touches nothing but lease and outcome:
--   1 unique key until it ends · 2 group · 4 timeout · 8 heartbeat promise · 16 queue timeout, until it first starts · 32 came out of a crash · 64 priority was changed
--   128 its owner takes turns (tables/line.sql) · 256 one turn at a time · 512 carries rows of a batch · 1024 is an item of a keyed queue
--   2048 a unique key that it gives up when it starts
--   4096 jobs wait for its end · 8192 has follow-ups (tables/dependent.sql)
--   16384 its start is noted: rates and fair turns of groups · 32768 waits for a time and keeps its place in its group

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

-- source: sql/tables/schedule.sql
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

-- source: sql/tables/script.sql
-- Scripts. The job carries the turns; these rows say how far the script has come.
--
-- `position` and `part` point at what is next, or runs: part 0 the query itself, 1 its onsuccess, 2 its onerror, 3 the onsuccess or onerror of the whole
-- script, 4 nothing any more.

create table pgqueue.script (
  job_id bigint primary key,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  expires_at timestamptz,
  length integer not null check (length >= 1),
  position integer not null default 0,
  part smallint not null default 0 check (part between 0 and 4),
  status text not null default 'queued' check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  fallback_status text check (fallback_status in ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped')),
  queue text collate "C" not null,
  owner text collate "C" not null,
  failed_reason text,
  fallback_error text,
  document jsonb not null,
  -- what is final stays so until the script's own fallback is through as well
  constraint script_ended check (ended_at is null or part = 4)) with (fillfactor = 50, toast_tuple_target = 128);
create index script_owner on pgqueue.script (owner, job_id);
create index script_expires on pgqueue.script (expires_at) where expires_at is not null;

-- One row per query that has begun, or was cancelled before it could.
create table pgqueue.script_query (
  job_id bigint not null,
  position integer not null,
  status text not null check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  fallback_status text check (fallback_status in ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped')),
  started_at timestamptz,
  ended_at timestamptz,
  failed_reason text,
  fallback_error text,
  notices jsonb,
  primary key (job_id, position)) with (fillfactor = 50);

comment on table pgqueue.script is 'Scripts and how far they have come.';
comment on table pgqueue.script_query is 'The queries of scripts that have begun.';

-- source: sql/tables/side.sql
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

-- source: sql/functions/private/_abort.sql
-- What batch_abort and slow_query_abort have in common.
create function pgqueue._abort(
  in id bigint,
  in kind text,
  in as_owner text,
  in why text,
  out status text,
  out succeeded integer,
  out failed integer,
  out aborted integer,
  out changed boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, kind, true);
  v_count pgqueue.batch_count;
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  select * into v_count from pgqueue.batch_count c where c.batch_id = _abort.id;
  changed := v_batch.done_at is null;
  if changed then
    v_count := pgqueue._abort_batch(v_batch, why, false);
  end if;
  select b.status into status from pgqueue.batch b where b.id = _abort.id;
  succeeded := v_count.succeeded;
  failed := v_count.failed;
  aborted := v_count.aborted;
end $$;

-- source: sql/functions/private/_abort_batch.sql
-- Aborts a batch that is not over; the caller has its counters locked. `by_gate`: the end of its gate does it, and that is not for this function to cancel. Returns the counts.
create function pgqueue._abort_batch(batch pgqueue.batch, why text, by_gate boolean) returns pgqueue.batch_count
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
  v_count pgqueue.batch_count;
  v_now timestamptz := pgqueue._now();
  v_slice bigint;
  v_slices bigint[];
begin
  insert into pgqueue.row_outcome (batch_id, line, row_id, status, done_at)
  select (batch).id, (r.value ->> 1)::integer, (r.value ->> 0)::integer, 'aborted', v_now
  from pgqueue.batch_slice s
  cross join lateral (select j.args from pgqueue.job j where j.id = s.job_id offset 0) j
  cross join jsonb_array_elements(j.args -> 'rows') r(value)
  where s.batch_id = (batch).id
  on conflict do nothing;
  update pgqueue.batch_count c set pending = 0, aborted = c.aborted + c.pending where c.batch_id = (batch).id returning * into v_count;
  perform pgqueue._finish_batch((batch).id, 'aborted', by_gate);
  -- Slices that are over have an outcome or, in a queue without history, no job any more.
  v_slices := array(
    select s.job_id
    from (select s.job_id from pgqueue.batch_slice s where s.batch_id = (batch).id and (not by_gate or s.job_id <> (batch).gate) offset 0) s
    where (select o.job_id from pgqueue.outcome o where o.job_id = s.job_id) is null and (select j.id from pgqueue.job j where j.id = s.job_id) is not null
    order by s.job_id);
  perform pgqueue._drop_slices(batch, v_slices);
  -- No worker ends one of the few that are left meanwhile: it would need the counters.
  v_slices := array(
    select s.id from unnest(v_slices) s(id)
    where (select o.job_id from pgqueue.outcome o where o.job_id = s.id) is null and (select j.id from pgqueue.job j where j.id = s.id) is not null order by s.id);
  foreach v_slice in array v_slices loop
    perform pgqueue.cancel(v_slice, why);
  end loop;
  return v_count;
end $$;

-- source: sql/functions/private/_abort_held.sql
-- Aborts rows of a batch that never ran: those of its slices in `held` with ids from low to high. The caller has its counters locked. Returns how many slices it has ended.
create function pgqueue._abort_held(batch bigint, low bigint, high bigint) returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_jobs bigint[];
  v_traits integer[];
  v_rows integer;
begin
  with picked as materialized (
    select h.ctid from pgqueue.held h where h.job_id between low and high and h.batch_id = batch for update skip locked),
  gone as (delete from pgqueue.held h where h.ctid = any(array(select p.ctid from picked p)) returning h.job_id, h.traits)
  select array_agg(g.job_id order by g.job_id), array_agg(g.traits & ~512 order by g.job_id) into v_jobs, v_traits from gone g;
  if v_jobs is null then
    return 0;
  end if;
  insert into pgqueue.row_outcome (batch_id, line, row_id, status, done_at)
  select batch, (r.value ->> 1)::integer, (r.value ->> 0)::integer, 'aborted', v_now
  from unnest(v_jobs) s(id)
  cross join lateral (select j.args from pgqueue.job j where j.id = s.id offset 0) j
  cross join lateral jsonb_array_elements(j.args -> 'rows') r(value)
  on conflict do nothing;
  get diagnostics v_rows = row_count;
  update pgqueue.batch_count c set pending = c.pending - v_rows, aborted = c.aborted + v_rows where c.batch_id = batch;
  perform pgqueue._finish(v_jobs, array_fill('cancelled'::text, array[cardinality(v_jobs)]), array_fill('parent_failed'::text, array[cardinality(v_jobs)]),
    array_fill(0::smallint, array[cardinality(v_jobs)]), v_traits, null, null, null,
    pgqueue._forget((select q.history from pgqueue.queue q where q.name = (select b.queue from pgqueue.batch b where b.id = batch))));
  return cardinality(v_jobs);
end $$;

-- source: sql/functions/private/_add_block.sql
-- Makes the partitions for ids from `low` up to `high`. Made aside and attached: creating them in place would lock the parents against
-- every enqueue until this transaction ends. What the default partitions hold of the range moves in first, as attaching demands.
create function pgqueue._add_block(low bigint, high bigint) returns void
language plpgsql
as $$
declare
  v_table text;
  v_id text;
  v_part text;
begin
  foreach v_table in array array['job', 'outcome', 'attempt_error', 'job_log', 'job_event'] loop
    v_id := case v_table when 'job' then 'id' else 'job_id' end;
    v_part := v_table || '_' || low;
    execute format('create table pgqueue.%I (like pgqueue.%I including defaults including constraints)', v_part, v_table);
    execute format('alter table pgqueue.%I add constraint %I check (%I >= %s and %I < %s)', v_part, v_part || '_range', v_id, low, v_id, high);
    execute format('alter table pgqueue.%I set (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.5)', v_part);
    execute format(
      'with stray as (delete from pgqueue.%I where %I >= %s and %I < %s returning *) insert into pgqueue.%I select * from stray',
      v_table || '_default', v_id, low, v_id, high, v_part);
    execute format('alter table pgqueue.%I attach partition pgqueue.%I for values from (%s) to (%s)', v_table, v_part, low, high);
    execute format('alter table pgqueue.%I drop constraint %I', v_part, v_part || '_range');
  end loop;
  insert into pgqueue.block (low, high, made_at, look_again_at) values (low, high, pgqueue._now(), pgqueue._now());
end $$;

-- source: sql/functions/private/_add_rows.sql
-- Adds rows to a batch: checked, counted, cut into slices, each a job. The jobs wait in ready, or in held while the batch is. Refused when that is more than their queue takes; what is held is not counted.
-- Returns how many rows the batch has now.
create function pgqueue._add_rows(batch pgqueue.batch, lines integer[], inputs jsonb[]) returns integer
language plpgsql
as $$
declare
  v_bad record;
  v_rows integer;
  v_count integer := coalesce(cardinality(lines), 0);
  v_line integer := case when (batch).kind = 'slow_query' then 0 else 1 end;
begin
  if array_ndims(lines) > 1 or array_ndims(inputs) > 1 or v_count <> coalesce(cardinality(inputs), 0) then
    perform pgqueue._refuse('PQ001', format('lines has %s elements and inputs %s', v_count, coalesce(cardinality(inputs), 0)), 'Give arrays of the same length.');
  end if;
  if v_count = 0 then
    return (select c.rows from pgqueue.batch_count c where c.batch_id = (batch).id);
  end if;
  select e.ord, e.line, e.input into v_bad
  from unnest(lines, inputs) with ordinality e(line, input, ord) where e.line is null or e.line < v_line or e.input is null order by e.ord limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('%s of row %s is %s', case when v_bad.input is null then 'input' else 'line' end, v_bad.ord,
      case when v_bad.input is null then 'null' else coalesce(v_bad.line::text, 'null') end), 'Each row has a line of at least 1 and an input, any JSON.');
  end if;
  update pgqueue.batch_count c set rows = c.rows + v_count, pending = c.pending + v_count where c.batch_id = (batch).id returning c.rows into v_rows;
  perform pgqueue._make_slices(batch, array(
    select jsonb_agg(jsonb_build_array(v_rows - v_count + e.ord - 1, e.line, e.input) order by e.ord)
    from unnest(lines, inputs) with ordinality e(line, input, ord)
    group by (e.ord - 1) / (batch).slice_size order by (e.ord - 1) / (batch).slice_size), null);
  if (batch).status <> 'held' and pg_sequence_last_value('pgqueue.bounded') is not null then
    perform pgqueue._refuse_if_full((batch).queue, array(select s.job_id from pgqueue.batch_slice s where s.batch_id = (batch).id limit 1));
  end if;
  return v_rows;
end $$;

-- source: sql/functions/private/_admit.sql
-- Admits what has arrived in a queue: looks at up to `most` rows of the inbox from this session's cursor on, and once at each group among them. When none
-- of them could be admitted, as their groups are full or another claim is at them just now, it looks at those behind them, a few times.
create function pgqueue._admit(queue text, most integer) returns integer
language plpgsql
as $$
declare
  v_start float8;
  v_cursor record;
  v_sweep boolean;
  v_groups text[];
  v_lined boolean;
  v_first bigint;
  v_last bigint := 0;
  v_rows integer;
  v_admitted integer;
begin
  for v_round in 1..10 loop
    v_start := date_part('epoch', clock_timestamp());
    select * into v_cursor from pgqueue._cursor('arrival', _admit.queue, 0);
    v_sweep := v_start >= v_cursor.expires;
    select array_agg(distinct a.group_key), min(a.seq), max(a.seq), count(*), bool_or(a.traits & 128 <> 0) into v_groups, v_first, v_last, v_rows, v_lined
    from (
      select a.group_key, a.seq, a.traits from pgqueue.arrival a
      where a.queue = _admit.queue and a.seq > v_last and a.seq >= case when v_sweep then 0 else v_cursor.floor end
      order by a.seq limit most) a;
    if v_round = 1 and (v_first is not null or v_sweep) then
      perform pgqueue._set_cursor('arrival', _admit.queue, 0, v_first, case when v_sweep then v_start end, v_cursor.expires);
    end if;
    exit when v_rows = 0;
    v_admitted := (pgqueue._admit_groups(_admit.queue, v_groups, greatest(most / cardinality(v_groups), 1), v_lined)).admitted;
    exit when v_admitted > 0 or v_rows < most;
  end loop;
  return coalesce(v_admitted, 0);
end $$;

-- source: sql/functions/private/_admit_groups.sql
-- Admission to groups, all of them in one statement: free slots go to whoever is first by priority and turn among the blocked and the first `per` arrivals of
-- each group. Exact because it happens under the groups' advisory locks, which are only ever tried, in order: another session that holds one will
-- do the same work, and the group is among those `passed` over. Without a limit there is nothing to be exact about, and nothing is locked.
--
-- Jobs whose owners take turns go on to `line`, whatever the limit: see _pick_turns. `locked` says that there may be some: then the locks are taken in any case, so that no two
-- claims make the same owner known.
--
-- In a queue that is `counted` a group's places are what _places says; those who have waited and kept their slot for it (state 4) come before all others of their group, and take no further slot. What
-- is admitted there has trait 16384: its start is to be noted. Where groups take turns they are admitted in the order in which they are named: that of
-- the starts before, so that who was first is first again.
--
-- A group's arrivals are asked for as a range of one key, so that the order names the whole of the group's index; and sorting and bitmaps are disabled, so that
-- no other index gives it. For one key alone the index by turn has the order as well, and walks the arrivals of the whole queue for each group.
create function pgqueue._admit_groups(
  in queue text,
  in groups text[],
  in per integer,
  in locked boolean,
  out admitted integer,
  out passed text[])
language plpgsql
set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_limit integer;
  v_settings pgqueue.queue;
  v_mine text[] := groups;
  v_jobs bigint[];
  v_priorities smallint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  select * into v_settings from pgqueue.queue q where q.name = _admit_groups.queue;
  v_limit := v_settings.group_limit;
  if v_limit is not null or v_settings.counted or locked then
    v_mine := array(
      select g.key from (select g.key from unnest(groups) g(key) order by g.key) g
      where pg_try_advisory_xact_lock(pgqueue._lock_class('group'), hashtext(_admit_groups.queue || E'\x1f' || g.key)));
    if cardinality(v_mine) < cardinality(groups) then
      passed := array(select g.key from unnest(groups) g(key) where g.key <> all(v_mine));
    end if;
  end if;

  if locked then
    -- An owner that is known stays known until the end of this claim: see _forget_owners. Those that are not are made known below.
    perform from pgqueue.owner_turns t where t.queue = _admit_groups.queue and t.owner = any(v_mine) order by t.queue, t.owner for key share;
  end if;
  with free as materialized (
    select g.key, case when v_settings.counted then pgqueue._places(v_settings, g.key, v_now) when v_limit is null then 2147483647 else greatest(v_limit - (
      select count(*)
      from (select from pgqueue.slot s where s.queue = _admit_groups.queue and s.group_key = g.key limit v_limit) s), 0) end as slots,
      case when v_settings.counted then array(
        select s.job_id from pgqueue.slot s where s.queue = _admit_groups.queue and s.group_key = g.key and s.state = 4 order by s.queue, s.group_key) end as own
    from unnest(v_mine) g(key)),
  arrived as (
    delete from pgqueue.arrival a
    where a.ctid = any(array(
      select a.ctid
      from free f
      cross join lateral (
        select a.ctid from pgqueue.arrival a
        where a.queue = _admit_groups.queue and a.group_key between f.key and f.key
        order by a.queue, a.group_key, a.seq limit per for update skip locked) a))
    returning a.seq, a.job_id, a.traits, a.priority, a.attempt, a.group_key),
  standing as (
    delete from pgqueue.blocked b
    where b.ctid = any(array(
      select b.ctid
      from free f
      cross join lateral (
        select b.ctid from pgqueue.blocked b
        where b.queue = _admit_groups.queue and b.group_key = f.key
        order by b.priority desc, b.seq limit least(f.slots, per) for update skip locked) b)
      || array(select b.ctid from pgqueue.blocked b where b.job_id = any(array(select o from free f cross join unnest(f.own) o)) for update skip locked))
    returning b.seq, b.job_id, b.traits, b.priority, b.attempt, b.group_key),
  lined as (
    insert into pgqueue.line (job_id, traits, priority, attempt, queue, owner)
    select a.job_id, a.traits, a.priority, a.attempt, _admit_groups.queue, a.group_key from arrived a where a.traits & 128 <> 0),
  owners as (
    insert into pgqueue.owner_turns (queue, owner, turns, arrived)
    select _admit_groups.queue, a.group_key, 0, min(a.job_id) from arrived a where a.traits & 128 <> 0 group by a.group_key order by a.group_key
    on conflict (queue, owner) do nothing),
  ranked as materialized (
    select w.*, coalesce(w.job_id = any(f.own), false) as returns,
      row_number() over (partition by w.group_key, coalesce(w.job_id = any(f.own), false) order by w.priority desc, w.seq)
        + case when w.job_id = any(f.own) then 0 else coalesce(cardinality(f.own), 0) end <= f.slots as fits
    from (select * from arrived where job_id is not null and traits & 128 = 0 union all select * from standing) w
    join free f on f.key = w.group_key),
  kept as (
    insert into pgqueue.blocked (seq, job_id, traits, priority, attempt, queue, group_key)
    select r.seq, r.job_id, r.traits, r.priority, r.attempt, _admit_groups.queue, r.group_key from ranked r where not r.fits),
  taken as (
    insert into pgqueue.slot (job_id, queue, group_key)
    select r.job_id, _admit_groups.queue, r.group_key from ranked r where r.fits and not r.returns),
  back as (
    update pgqueue.slot s set state = 0 where s.job_id = any(array(select r.job_id from ranked r where r.fits and r.returns)))
  select array_agg(r.job_id), array_agg(r.priority), array_agg(r.attempt), array_agg(case when v_settings.counted then r.traits | 16384 else r.traits end)
  into v_jobs, v_priorities, v_attempts, v_traits
  from (
    select * from ranked where fits
    order by priority desc, case when v_settings.fair then array_position(groups, group_key) end, seq) r;

  admitted := coalesce(cardinality(v_jobs), 0);
  if admitted > 0 then
    perform pgqueue._enter(v_jobs, array_fill(_admit_groups.queue, array[admitted]), v_priorities, v_attempts, v_traits, true);
  end if;
  if v_settings.counted then
    if v_settings.group_rate_limit is not null or v_settings.own_groups then
      perform pgqueue._wake_owners(queue, v_mine, v_now);
    end if;
    perform pgqueue._groups_wait(v_settings, v_mine, v_now);
  end if;
end $$;

-- source: sql/functions/private/_admit_or_ask.sql
-- Admits the next of these groups; those at which another session is at work just now get a row in their inbox that says "look again", and the next claim of the queue does.
create function pgqueue._admit_or_ask(queue text, groups text[], per integer) returns void
language plpgsql
as $$
begin
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  select nextval('pgqueue.job_id'), 0, 0, 0, _admit_or_ask.queue, g.key
  from unnest((pgqueue._admit_groups(_admit_or_ask.queue, groups, per, false)).passed) g(key);
end $$;

-- source: sql/functions/private/_announce.sql
-- Tells those who wait for these jobs that they are final. One probe when nobody waits for anything, which is the usual case.
create function pgqueue._announce(jobs bigint[]) returns void
language plpgsql
as $$
begin
  if pgqueue._nobody_waits() then
    return;
  end if;
  if pg_notification_queue_usage() < 0.5 then
    perform pg_notify('pgqueue_done', w.job_id::text)
    from (select distinct w.job_id from pgqueue.waiter w where w.job_id = any(jobs)) w;
  end if;
end $$;

-- source: sql/functions/private/_any_live.sql
-- Whether any job with an id from `low` up to `high` is live. By the indexes of the places where live jobs stand, so that it is quick under a lock.
create function pgqueue._any_live(low bigint, high bigint) returns boolean
language sql
as $$
  select exists (
      select from pgqueue.lane l
      cross join lateral (
        select from pgqueue.ready w where w.queue = l.queue and w.priority = l.priority and w.seq >= low and w.seq < high and w.seq = w.job_id limit 1) w)
    or exists (select from pgqueue.ready w where w.job_id >= low and w.job_id < high and w.seq <> w.job_id)
    or exists (select from pgqueue.scheduled w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.arrival w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.blocked w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.suspect w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.line w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.held w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.dependent w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.lease l cross join unnest(l.job_ids) j(id) where j.id >= low and j.id < high);
$$;

-- source: sql/functions/private/_backoff.sql
-- How long a job waits after its n-th failed attempt. Missing keys: exponential, base 2 seconds, cap one hour, jitter a tenth. Jitter spreads the
-- delay evenly over [1 - jitter, 1 + jitter] of itself, and never beyond the cap.
create function pgqueue._backoff(spec jsonb, attempt integer) returns interval
language plpgsql volatile
as $$
declare
  v_base float8 := coalesce((spec ->> 'base')::float8, 2);
  v_cap float8 := coalesce((spec ->> 'cap')::float8, 3600);
  v_jitter float8 := coalesce((spec ->> 'jitter')::float8, 0.1);
  v_delay float8;
begin
  v_delay := case coalesce(spec ->> 'strategy', 'exponential')
    when 'constant' then v_base
    when 'linear' then v_base * attempt
    else v_base * 2 ^ least(attempt - 1, 60) end;
  v_delay := least(v_cap, v_delay) * (1 + v_jitter * (2 * random() - 1));
  return make_interval(secs => least(v_cap, v_delay));
end $$;

-- source: sql/functions/private/_batch_files.sql
-- The output files of a batch, {name: {"lines", "chars"}}.
create function pgqueue._batch_files(batch bigint) returns jsonb
language sql stable
return coalesce((
  select jsonb_object_agg(f.name, jsonb_build_object('lines', f.lines, 'chars', f.chars)) from pgqueue.batch_file f where f.batch_id = $1), '{}');

-- source: sql/functions/private/_batch_info.sql
-- What batch_status and batch_list say of a batch.
create function pgqueue._batch_info(batch pgqueue.batch) returns pgqueue.batch_info
language sql stable
as $$
  select ((batch).id, (batch).app, (batch).op, (batch).kind, (batch).owner,
    case when (batch).status = 'queued' and (c.pending < c.rows or pgqueue._batch_runs(batch)) then 'running' else (batch).status end,
    (batch).done_at is null, c.rows, c.pending, c.succeeded, c.failed, c.aborted, (batch).context, (batch).submitted_at, (batch).released_at, (batch).done_at,
    case when (batch).done_at is not null then pgqueue._batch_files((batch).id) end,
    case when (batch).status = 'held' then array_remove(array[case when (batch).hold then 'release' end, case when (batch).waits then 'parents' end], null) end)::pgqueue.batch_info
  from pgqueue.batch_count c where c.batch_id = (batch).id;
$$;

-- source: sql/functions/private/_batch_or_refuse.sql
-- A batch, or slow query, that exists. `locked`: for a change. The lock of a batch is the row of its counters, for everybody: workers that hand in rows hold it when the last of them
-- ends the batch, so nobody may wait for it with the batch's own row in hand.
create function pgqueue._batch_or_refuse(id bigint, kind text, locked boolean) returns pgqueue.batch
language plpgsql
as $$
declare
  v_batch pgqueue.batch;
begin
  if locked then
    perform from pgqueue.batch_count c where c.batch_id = _batch_or_refuse.id for no key update;
  end if;
  select * into v_batch from pgqueue.batch b where b.id = _batch_or_refuse.id;
  if v_batch.id is null or v_batch.kind <> _batch_or_refuse.kind then
    perform pgqueue._refuse('PQ002', format('%s %s is unknown', replace(kind, '_', ' '), coalesce(id::text, 'null')),
      'It was never submitted, its transaction was rolled back, or it has been purged.');
  end if;
  return v_batch;
end $$;

-- source: sql/functions/private/_batch_result.sql
-- What result says of a batch or slow query that is over: its counts, or what its processor gave; and why it has not succeeded.
create function pgqueue._batch_result(in id bigint, out reason text, out result jsonb, out error jsonb)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch;
  v_count pgqueue.batch_count;
  v_messages jsonb;
begin
  select * into v_batch from pgqueue.batch b where b.id = _batch_result.id;
  select * into v_count from pgqueue.batch_count c where c.batch_id = _batch_result.id;
  reason := case v_batch.status when 'failed' then 'error' when 'aborted' then coalesce(v_batch.reason, 'aborted') end;
  if v_batch.kind = 'batch' then
    result := jsonb_build_object('succeeded', v_count.succeeded, 'failed', v_count.failed, 'aborted', v_count.aborted);
  elsif v_batch.status <> 'aborted' then
    select o.result, o.messages into result, v_messages from pgqueue.row_outcome o where o.batch_id = _batch_result.id and o.line = 0 and o.row_id = 0;
  end if;
  if v_batch.status = 'failed' and v_batch.kind = 'batch' then
    error := jsonb_build_object('type', 'RowsFailed', 'message', format('%s of %s rows failed', v_count.failed, v_count.rows));
  elsif v_batch.status = 'failed' then
    error := jsonb_build_object('type', 'SlowQueryFailed', 'message', coalesce(v_messages #>> '{0,vals,0}', v_messages #>> '{0,errcode}', 'its processor said so'),
      'messages', coalesce(v_messages, '[]'));
  end if;
end $$;

-- source: sql/functions/private/_batch_runs.sql
-- Whether a slice of this batch is leased. Leases are few.
create function pgqueue._batch_runs(batch pgqueue.batch) returns boolean
language sql stable
as $$
  select exists (
    select from (select l.job_ids from pgqueue.lease l where l.queue = (batch).queue offset 0) l
    cross join unnest(l.job_ids) j(id)
    cross join lateral (select from pgqueue.batch_slice s where s.job_id = j.id and s.batch_id = (batch).id offset 0) s);
$$;

-- source: sql/functions/private/_batch_state.sql
-- Where a batch or slow query stands, in the words for jobs; null when there is none. Drawn from one sequence, its id is no job's.
create function pgqueue._batch_state(batch bigint) returns text
language plpgsql
as $$
declare
  v_batch pgqueue.batch;
begin
  select * into v_batch from pgqueue.batch b where b.id = batch;
  return case
    when v_batch.id is null then null
    when v_batch.status = 'aborted' then 'cancelled'
    when v_batch.status <> 'queued' then v_batch.status
    when (select c.pending < c.rows from pgqueue.batch_count c where c.batch_id = batch) or pgqueue._batch_runs(v_batch) then 'running'
    else 'queued' end;
end $$;

-- source: sql/functions/private/_bounded.sql
-- Whether a queue has max_queued. Not inlined, so that an enqueue opens the settings only where it asks.
create function pgqueue._bounded(queue text) returns boolean
language plpgsql stable
as $$
begin
  return exists (select from pgqueue.queue q where q.name = _bounded.queue and q.max_queued is not null);
end $$;

-- source: sql/functions/private/_bulk_row.sql
-- What a bulk function returns: of the jobs that were selected, those that a batch came to, up to where it stopped before its end. `plain`: what was done all at once, also behind that; `rest`: how many
-- one by one.
create function pgqueue._bulk_row(
  in jobs bigint[],
  in plain bigint[],
  in rest bigint,
  in stopped_at bigint,
  in last_ bigint,
  in more_ boolean,
  out done bigint,
  out skipped bigint,
  out last bigint,
  out more boolean)
language sql immutable
as $$
  select cardinality(plain) + rest,
    (select count(*) from unnest(jobs) i where i <= coalesce(stopped_at, i) and i not in (select p from unnest(plain) p)) - rest,
    coalesce(stopped_at, last_), more_ or stopped_at is not null;
$$;

-- source: sql/functions/private/_cancel_backend.sql
-- Cancels what the recorded server process of a job runs, when that is in this very database: by process id and start, so never a later process. Waits a moment for it to end, so that whoever
-- has cancelled finds it gone. The row stays locked until the cancel is committed: the worker that sees its statement end takes the row away first, and so knows why. Without the right to do so nothing happens: the worker does it, over its own connection.
create function pgqueue._cancel_backend(job bigint) returns void
language plpgsql
as $$
declare
  v_pid integer;
begin
  perform from pgqueue.backend b where b.job_id = job for update;
  select b.pid into v_pid
  from pgqueue.backend b
  cross join lateral pg_stat_get_activity(b.pid) a
  where b.job_id = job and a.backend_start = b.backend_start and a.state = 'active'
    and (select j.args ->> 'datasource' from pgqueue.job j where j.id = b.job_id) is null;
  if v_pid is null or not pg_cancel_backend(v_pid) then
    return;
  end if;
  for v_look in 1..50 loop
    perform pg_sleep(0.002), pg_stat_clear_snapshot();
    exit when not exists (
      select from pgqueue.backend b cross join lateral pg_stat_get_activity(b.pid) a
      where b.job_id = job and a.backend_start = b.backend_start and a.state = 'active');
  end loop;
exception
  when insufficient_privilege then
    return;
end $$;

-- source: sql/functions/private/_check_backoff.sql
-- {"strategy": "constant"|"linear"|"exponential", "base": seconds, "cap": seconds, "jitter": 0..1}; any key may be missing.
create function pgqueue._check_backoff(backoff jsonb) returns void
language plpgsql
as $$
declare
  v_hint constant text := 'Example: {"strategy": "exponential", "base": 2, "cap": 3600, "jitter": 0.1}; base and cap in seconds.';
  v_key text;
  v_value jsonb;
begin
  if backoff is null then
    return;
  end if;
  if jsonb_typeof(backoff) <> 'object' then
    perform pgqueue._refuse('PQ001', 'backoff is not an object', v_hint);
  end if;
  for v_key, v_value in select e.key, e.value from jsonb_each(backoff) e loop
    if v_key = 'strategy' then
      if v_value not in ('"constant"', '"linear"', '"exponential"') then
        perform pgqueue._refuse('PQ001', format('backoff strategy %s is unknown', v_value), v_hint);
      end if;
    elsif v_key in ('base', 'cap', 'jitter') then
      if jsonb_typeof(v_value) <> 'number' or v_value::numeric < 0 or (v_value::numeric > 0 and v_value::numeric < 1e-9)
        or v_value::numeric > (case v_key when 'jitter' then 1 else 315576000 end) then
        perform pgqueue._refuse('PQ001', format('backoff %s is %s', v_key, v_value), v_hint);
      end if;
    else
      perform pgqueue._refuse('PQ001', format('backoff has an unknown key %s', v_key), v_hint);
    end if;
  end loop;
end $$;

-- source: sql/functions/private/_check_claim.sql
create function pgqueue._check_claim(worker bigint, queues text[], n integer) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_worker(worker);
  if n is null or n not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Claim from 1 to 10000 jobs at a time.');
  end if;
  if array_ndims(queues) is distinct from 1 or array_position(queues, null) is not null then
    perform pgqueue._check_queues(queues);
  end if;
end $$;

-- source: sql/functions/private/_check_concurrency.sql
create function pgqueue._check_concurrency(concurrency integer) returns void
language plpgsql
as $$
begin
  if concurrency < 0 then
    perform pgqueue._refuse('PQ001', format('concurrency is %s', concurrency), 'Give how many items of the queue may be active at once, or null for no end but the queue''s max_running.');
  end if;
end $$;

-- source: sql/functions/private/_check_fallback.sql
-- Checks one fallback of a query or script; one that is null is as good as none.
create function pgqueue._check_fallback(given jsonb, fallback text, what text) returns jsonb
language plpgsql
as $$
begin
  if coalesce(given -> fallback, 'null') = 'null' then
    return given - fallback;
  end if;
  if jsonb_typeof(given -> fallback) <> 'string' then
    perform pgqueue._refuse('PQ001', format('%s is %s, not text', what, jsonb_typeof(given -> fallback)), 'Give the text of an SQL statement, or leave it out.');
  end if;
  perform pgqueue._check_sql(what, given ->> fallback, false);
  return given;
end $$;

-- source: sql/functions/private/_check_flow.sql
-- What every way of enqueueing accepts beside what _check_job looks at.
create function pgqueue._check_flow(
  unique_key text,
  unique_by text[],
  unique_until text,
  unique_for interval,
  on_duplicate text,
  depends_on bigint[],
  on_parent_failure text,
  on_success jsonb,
  on_error jsonb) returns void
language plpgsql
as $$
begin
  if unique_by is not null then
    if unique_key is not null then
      perform pgqueue._refuse('PQ001', 'both unique_key and unique_by are given', 'Give one of them.');
    end if;
    if array_ndims(unique_by) > 1 or array_position(unique_by, null) is not null then
      perform pgqueue._refuse('PQ001', 'unique_by has an element that is null or an array', 'Give the names of arguments, or {} for all.');
    end if;
  elsif unique_key is null and num_nonnulls(unique_until, unique_for, on_duplicate) > 0 then
    perform pgqueue._refuse('PQ001', format('%s is given without a unique key',
        case when unique_until is not null then 'unique_until' when unique_for is not null then 'unique_for' else 'on_duplicate' end),
      'Give unique_key or unique_by as well.');
  end if;
  if unique_until not in ('start', 'finish') then
    perform pgqueue._refuse('PQ001', format('unique_until is %L', unique_until), 'It is start or finish.');
  end if;
  if unique_for is not null then
    if unique_until is not null then
      perform pgqueue._refuse('PQ001', 'both unique_until and unique_for are given', 'A key is held until an event or for a time: give one of them.');
    end if;
    perform pgqueue._check_interval('unique_for', unique_for, true);
  end if;
  if on_duplicate not in ('return', 'replace', 'debounce', 'raise') then
    perform pgqueue._refuse('PQ001', format('on_duplicate is %L', on_duplicate), 'It is return, replace, debounce or raise.');
  end if;
  if on_parent_failure not in ('cancel', 'run', 'wait') then
    perform pgqueue._refuse('PQ001', format('on_parent_failure is %L', on_parent_failure), 'It is cancel, run or wait.');
  end if;
  if (case when array_ndims(depends_on) > 1 then true else array_position(depends_on, null) is not null end) then
    perform pgqueue._refuse('PQ001', 'depends_on has an element that is null or an array', 'Give ids of jobs.');
  end if;
  if jsonb_typeof(on_success) not in ('object', 'array') or jsonb_typeof(on_error) not in ('object', 'array') then
    perform pgqueue._refuse('PQ001', format('%s is %s', case when jsonb_typeof(on_success) not in ('object', 'array') then 'on_success' else 'on_error' end,
        case when jsonb_typeof(on_success) not in ('object', 'array') then jsonb_typeof(on_success) else jsonb_typeof(on_error) end),
      'Give a job as enqueue_many takes it, such as {"kind": "notify"}, or an array of them.');
  end if;
  if num_nonnulls(on_success, on_error) > 0 then
    perform pgqueue._check_follow_ups('on_success', on_success, 1), pgqueue._check_follow_ups('on_error', on_error, 1);
  end if;
end $$;

-- source: sql/functions/private/_check_follow_ups.sql
-- Follow-ups are checked when the job they follow is enqueued, as enqueue_many checks its elements, and so are theirs; for when it ends there is nobody to tell. Draws ids for nothing.
create function pgqueue._check_follow_ups(name text, jobs jsonb, level integer) returns void
language plpgsql
as $$
declare
  v_job jsonb;
  v_at integer := 0;
  v_key text;
  v_problem text;
  v_advice text;
begin
  if level > 16 and jobs <> 'null' then
    perform pgqueue._refuse('PQ001', format('follow-ups of follow-ups go %s deep', level), 'Sixteen is the most: let a job enqueue the rest.');
  end if;
  for v_job in select e from jsonb_array_elements(case jsonb_typeof(jobs) when 'array' then jobs when 'object' then jsonb_build_array(jobs) else '[]' end) e loop
    v_at := v_at + 1;
    begin
      if jsonb_typeof(v_job) <> 'object' then
        perform pgqueue._refuse('PQ001', format('it is %s, not an object', jsonb_typeof(v_job)), 'Give a job as enqueue_many takes it, such as {"kind": "notify"}.');
      end if;
      select k into v_key from jsonb_object_keys(v_job) k
      where k not in ('kind', 'args', 'queue', 'priority', 'run_at', 'delay', 'unique_key', 'group_key', 'max_attempts', 'timeout', 'expires_in', 'heartbeat',
        'backoff', 'headers', 'unique_by', 'unique_until', 'unique_for', 'on_duplicate', 'on_success', 'on_error', 'pass_as')
      order by k limit 1;
      if found then
        perform pgqueue._refuse('PQ001', format('it has %s %L', case when v_key in ('depends_on', 'on_parent_failure', 'ref') then 'the key' else 'an unknown key' end, v_key),
          'Its keys are those of enqueue_many, and "pass_as"; it depends on the job it follows and on no other.');
      end if;
      if jsonb_typeof(v_job -> 'pass_as') not in ('string', 'null') or length(v_job ->> 'pass_as') not between 1 and 200 then
        perform pgqueue._refuse('PQ001', format('pass_as is %s', left((v_job -> 'pass_as')::text, 50)), 'It is the name of the argument that receives the result or the error.');
      end if;
      perform pgqueue._new_job(v_job - array['pass_as', 'on_success', 'on_error'], pgqueue._now());
      if jsonb_typeof(v_job -> 'on_success') not in ('object', 'array', 'null') or jsonb_typeof(v_job -> 'on_error') not in ('object', 'array', 'null') then
        perform pgqueue._refuse('PQ001', 'its own on_success or on_error is neither an object nor an array', 'Give a job as enqueue_many takes it, or an array of them.');
      end if;
    exception
      when data_exception or sqlstate 'PQ001' then
        get stacked diagnostics v_problem = message_text, v_advice = pg_exception_hint;
        perform pgqueue._refuse('PQ001', format('%s, element %s: %s', name, v_at, v_problem),
          coalesce(nullif(v_advice, ''), 'The values are those of the parameters of enqueue; intervals are seconds or text such as ''5 minutes''.'));
    end;
    if v_job ?| array['on_success', 'on_error'] then
      perform pgqueue._check_follow_ups(format('%s, element %s, on_success', name, v_at), v_job -> 'on_success', level + 1),
        pgqueue._check_follow_ups(format('%s, element %s, on_error', name, v_at), v_job -> 'on_error', level + 1);
    end if;
  end loop;
end $$;

-- source: sql/functions/private/_check_interval.sql
-- An interval argument: null (not given), or at least zero (or above zero) and at most a century, so that adding it to a time cannot overflow.
create function pgqueue._check_interval(what text, given interval, above_zero boolean) returns void
language plpgsql
as $$
begin
  if given is null then
    return;
  end if;
  if given < interval '0' or (above_zero and given = interval '0') then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, given),
      format('Give an interval %s zero, such as ''30 seconds''.', case when above_zero then 'above' else 'of at least' end));
  end if;
  -- Field by field: '5000000 years -1800000000 days' compares as nothing at all.
  if greatest(abs(extract(year from given)), abs(extract(day from given)) / 366, abs(extract(hour from given)) / 8784) > 100
    or given > interval '100 years' then
    perform pgqueue._refuse('PQ001', format('%s is longer than a hundred years', what), 'Leave it out to have none.');
  end if;
end $$;

-- source: sql/functions/private/_check_job.sql
-- What every way of enqueueing accepts, so that a job is refused for the same reasons one by one and in thousands.
create function pgqueue._check_job(
  kind text,
  args jsonb,
  queue text,
  priority integer,
  run_at timestamptz,
  delay interval,
  unique_key text,
  group_key text,
  max_attempts integer,
  timeout interval,
  expires_in interval,
  heartbeat interval,
  backoff jsonb,
  headers jsonb) returns void
language plpgsql
as $$
begin
  -- The plain case passes in a handful of comparisons; the messages are made only when something is wrong.
  if kind is null or queue is null or length(kind) not between 1 and 200 or length(queue) not between 1 and 200
    or kind ~ '[\x01-\x1f\x7f-\x9f]' or queue ~ '[\x01-\x1f\x7f-\x9f]' then
    perform pgqueue._check_name('kind', kind, 200);
    perform pgqueue._check_name('queue', queue, 200);
  end if;
  if kind in ('sql.query', 'sql.script', 'rows.slice', 'rows.slow', 'rows.gate', 'rows.done', 'keyed.item') then
    perform pgqueue._refuse('PQ001', format('kind is %s', kind), format('Jobs of this kind are made by %s, with what else belongs to them: call that.',
      case kind when 'sql.query' then 'submit_query' when 'sql.script' then 'submit_script' when 'rows.slow' then 'slow_query_submit' when 'keyed.item' then 'keyed_add' else 'batch_submit' end));
  end if;
  if args is null or jsonb_typeof(args) <> 'object' then
    perform pgqueue._refuse('PQ001', format('args is %s, not an object', coalesce(jsonb_typeof(args), 'null')),
      'Give the arguments by name, such as {"user_id": 42}, or {} for none.');
  end if;
  perform pgqueue._check_priority(priority);
  if max_attempts not between 1 and 32767 then
    perform pgqueue._refuse('PQ001', format('max_attempts is %s', max_attempts), 'Give a whole number from 1 to 32767, or null for the queue''s own.');
  end if;
  if run_at is not null then
    if delay is not null then
      perform pgqueue._refuse('PQ001', 'both run_at and delay are given', 'Give one of them.');
    end if;
    perform pgqueue._check_time('run_at', run_at);
  end if;
  if delay is not null then
    perform pgqueue._check_interval('delay', delay, false);
  end if;
  if unique_key is not null then
    perform pgqueue._check_name('unique_key', unique_key, 500);
  end if;
  if group_key is not null then
    perform pgqueue._check_name('group_key', group_key, 500);
  end if;
  if timeout is not null then
    perform pgqueue._check_interval('timeout', timeout, true);
  end if;
  if expires_in is not null then
    perform pgqueue._check_interval('expires_in', expires_in, true);
  end if;
  if heartbeat is not null then
    perform pgqueue._check_interval('heartbeat', heartbeat, true);
  end if;
  if backoff is not null then
    perform pgqueue._check_backoff(backoff);
  end if;
  if headers is not null and jsonb_typeof(headers) <> 'object' then
    perform pgqueue._refuse('PQ001', format('headers is %s, not an object', jsonb_typeof(headers)), 'Give an object, or null for none.');
  end if;
end $$;

-- source: sql/functions/private/_check_keyed.sql
-- Queues and keys are matched exactly, whatever is in them; a queue's name may be longer than one of the core.
create function pgqueue._check_keyed(queue text, key text) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_name('key', key, 500);
  if octet_length(queue) + octet_length(key) > 2500 then
    perform pgqueue._refuse('PQ001', format('queue and key take %s bytes', octet_length(queue) + octet_length(key)), 'Together they may take 2500 bytes in UTF-8: an index has to hold them.');
  end if;
end $$;

-- source: sql/functions/private/_check_keyed_item.sql
-- What a new item may be. The plain case passes in one expression; the messages are made only when something is wrong.
create function pgqueue._check_keyed_item(
  queue text,
  key text,
  payload text,
  priority integer,
  orphan_ms bigint,
  process_id text,
  exclusive boolean,
  external_id text,
  stage_key text,
  max_attempts integer) returns void
language plpgsql
as $$
begin
  if octet_length(queue) between 1 and 450 and octet_length(key) between 1 and 450 and (queue || key) !~ '[\x01-\x1f\x7f-\x9f]' and payload is not null
    and priority between -32768 and 32767 and not exclusive and max_attempts between 1 and 32767
    and num_nonnulls(orphan_ms, process_id, external_id, stage_key) = 0
  then
    return;
  end if;
  perform pgqueue._check_keyed(queue, key);
  if payload is null then
    perform pgqueue._refuse('PQ001', 'payload is null', 'Give it as text, which may be empty.');
  end if;
  perform pgqueue._check_priority(priority);
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  perform pgqueue._check_process(process_id);
  if exclusive is null or exclusive and process_id is null then
    perform pgqueue._refuse('PQ001', 'exclusive is ' || case when exclusive then 'true, but there is no process_id' else 'null' end,
      'Say whose the item is to be: give process_id, or exclusive => false.');
  end if;
  if external_id is not null then
    perform pgqueue._check_name('external_id', external_id, 48);
  end if;
  if stage_key is not null then
    perform pgqueue._check_name('stage_key', stage_key, 1000);
  end if;
  if coalesce(max_attempts, 0) not between 1 and 32767 then
    perform pgqueue._refuse('PQ001', format('max_attempts is %s', coalesce(max_attempts::text, 'null')), 'Give a whole number from 1 to 32767.');
  end if;
end $$;

-- source: sql/functions/private/_check_log_lines.sql
-- Refuses log lines that are not an array of objects as log_lines takes them.
create function pgqueue._check_log_lines(lines jsonb) returns void
language plpgsql
as $$
declare
  v_hint constant text := 'Give an array of at most 10000 objects: {"level": "info", "message": "…", "at": time, "fields": object}; all but message may be left out.';
  v_bad record;
begin
  if lines is null or jsonb_typeof(lines) <> 'array' or jsonb_array_length(lines) > 10000 then
    perform pgqueue._refuse('PQ001', case when jsonb_typeof(lines) = 'array' then format('lines has %s elements', jsonb_array_length(lines))
      else format('lines is %s, not an array', coalesce(jsonb_typeof(lines), 'null')) end, v_hint);
  end if;
  select e.nth, case
      when jsonb_typeof(e.line) <> 'object' then format('is %s, not an object', jsonb_typeof(e.line))
      when jsonb_typeof(e.line -> 'message') is distinct from 'string' then 'has no message'
      when coalesce(jsonb_typeof(e.line -> 'level'), 'null') not in ('string', 'null') or length(e.line ->> 'level') not between 1 and 32 then 'has a level that is not a word'
      when coalesce(jsonb_typeof(e.line -> 'at'), 'null') not in ('string', 'null') then 'has a time that is not text'
      when coalesce(jsonb_typeof(e.line -> 'fields'), 'null') not in ('object', 'null') then 'has fields that are not an object'
      when exists (select from jsonb_object_keys(e.line) k where k not in ('at', 'level', 'message', 'fields')) then 'has a key of another name'
    end as problem
  into v_bad
  from jsonb_array_elements(lines) with ordinality e(line, nth)
  where jsonb_typeof(e.line) <> 'object'
    or jsonb_typeof(e.line -> 'message') is distinct from 'string'
    or coalesce(jsonb_typeof(e.line -> 'level'), 'null') not in ('string', 'null') or length(e.line ->> 'level') not between 1 and 32
    or coalesce(jsonb_typeof(e.line -> 'at'), 'null') not in ('string', 'null')
    or coalesce(jsonb_typeof(e.line -> 'fields'), 'null') not in ('object', 'null')
    or e.line - '{at,level,message,fields}'::text[] <> '{}'
  order by e.nth limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('line %s of lines %s', v_bad.nth, v_bad.problem), v_hint);
  end if;
  begin
    perform pgqueue._check_time('at', (e.line ->> 'at')::timestamptz) from jsonb_array_elements(lines) e(line) where e.line ->> 'at' is not null;
  exception
    when data_exception then
      perform pgqueue._refuse('PQ001', 'a line of lines has a time that cannot be read', 'Give times in ISO 8601, such as 2030-01-31T09:00:00Z.');
  end;
end $$;

-- source: sql/functions/private/_check_ms.sql
-- Milliseconds, as callers of keyed queues have them; a thousand years are enough.
create function pgqueue._check_ms(what text, ms bigint) returns void
language plpgsql
as $$
begin
  if ms not between 0 and 31557600000000 then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, ms), format('Give %s as milliseconds, 0 or more, or null.', what));
  end if;
end $$;

-- source: sql/functions/private/_check_name.sql
-- Names of queues and kinds, unique and group keys: any text of a sane length. Control characters are refused in names because they hide
-- in terminals and because the claim's cursor uses one as a separator.
create function pgqueue._check_name(what text, name text, longest integer) returns void
language plpgsql
as $$
begin
  if _check_name.name is null or _check_name.name = '' then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, case when name is null then 'null' else 'empty' end),
      format('Give %s as text of 1 to %s characters.', what, longest));
  end if;
  if length(_check_name.name) > longest then
    perform pgqueue._refuse('PQ001', format('%s is %s characters long', what, length(name)),
      format('The longest %s has %s characters.', what, longest));
  end if;
  if octet_length(_check_name.name) > 1800 then
    perform pgqueue._refuse('PQ001', format('%s takes %s bytes', what, octet_length(name)), 'It may take 1800 bytes in UTF-8: an index has to hold it.');
  end if;
  if _check_name.name ~ '[\x01-\x1f\x7f-\x9f]' then
    perform pgqueue._refuse('PQ001', format('%s contains a control character', what), 'Take it out: names are printable text.');
  end if;
end $$;

-- source: sql/functions/private/_check_names.sql
-- _check_name for one name an element, null meaning none: the first bad one is refused with its place.
create function pgqueue._check_names(what text, names text[], most integer) returns void
language plpgsql
as $$
declare
  v_bad record;
  v_problem text;
  v_advice text;
begin
  for v_bad in
    select n.name, n.ord from unnest(names) with ordinality n(name, ord) where length(n.name) not between 1 and most or octet_length(n.name) > 1800 or n.name ~ '[\x01-\x1f\x7f-\x9f]' order by n.ord limit 1
  loop
    perform pgqueue._check_name(what, v_bad.name, most);
  end loop;
exception
  when sqlstate 'PQ001' then
    get stacked diagnostics v_problem = message_text, v_advice = pg_exception_hint;
    perform pgqueue._refuse('PQ001', format('element %s: %s', v_bad.ord, v_problem), v_advice);
end $$;

-- source: sql/functions/private/_check_owner.sql
-- What belongs to another owner is as unknown as what never was.
create function pgqueue._check_owner(batch pgqueue.batch, as_owner text) returns void
language plpgsql
as $$
begin
  if batch.owner <> as_owner then
    perform pgqueue._refuse('PQ002', format('%s %s is unknown', replace(batch.kind, '_', ' '), batch.id), 'It belongs to another owner.');
  end if;
end $$;

-- source: sql/functions/private/_check_page.sql
-- Checks what lists that are read page by page take.
create function pgqueue._check_page(after bigint, max integer) returns void
language plpgsql
as $$
begin
  if max is null or max not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Ask for 1 to 10000 jobs a page.');
  end if;
  if after is null then
    perform pgqueue._refuse('PQ001', 'after is null', 'Give the last id of the page before, 0 for the first.');
  end if;
end $$;

-- source: sql/functions/private/_check_priority.sql
-- A priority argument, before it is stored as a smallint.
create function pgqueue._check_priority(priority integer) returns void
language plpgsql
as $$
begin
  if priority is null or priority not between -32768 and 32767 then
    perform pgqueue._refuse('PQ001', format('priority is %s', coalesce(priority::text, 'null')),
      'Give a whole number from -32768 to 32767; higher runs first, 0 is usual.');
  end if;
end $$;

-- source: sql/functions/private/_check_process.sql
create function pgqueue._check_process(process_id text) returns void
language plpgsql
as $$
begin
  if process_id is not null then
    perform pgqueue._check_name('process_id', process_id, 96);
  end if;
end $$;

-- source: sql/functions/private/_check_query.sql
-- What only submit_query takes.
create function pgqueue._check_query(
  sql text,
  params jsonb,
  timeout interval,
  wait_timeout interval,
  max_age interval,
  ttl interval,
  batch_rows integer,
  max_rows bigint,
  max_bytes bigint,
  is_unique boolean,
  read_only boolean) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_sql('sql', sql, true);
  if jsonb_typeof(params) not in ('array', 'null') then
    perform pgqueue._refuse('PQ001', format('params is %s, not an array', jsonb_typeof(params)), 'Give the values for $1, $2, … in order, such as [42, "blue"].');
  end if;
  perform pgqueue._check_interval('timeout', timeout, true);
  perform pgqueue._check_interval('wait_timeout', wait_timeout, true);
  perform pgqueue._check_interval('max_age', max_age, false);
  perform pgqueue._check_interval('ttl', ttl, true);
  if batch_rows not between 1 and 1000000 then
    perform pgqueue._refuse('PQ001', format('batch_rows is %s', batch_rows), 'Give a number from 1 to 1000000, or null to have chunks of a convenient size.');
  end if;
  if max_rows < 0 or max_bytes < 0 then
    perform pgqueue._refuse('PQ001', 'max_rows or max_bytes is negative', 'Give a number from 0 on, or null for the installation''s own.');
  end if;
  if is_unique is null or read_only is null then
    perform pgqueue._refuse('PQ001', 'unique or read_only is null', 'Give true or false.');
  end if;
end $$;

-- source: sql/functions/private/_check_queues.sql
create function pgqueue._check_queues(queues text[]) returns void
language plpgsql
as $$
begin
  if array_ndims(queues) is distinct from 1 then
    perform pgqueue._refuse('PQ001',
      format('queues is %s', case when queues is null then 'null' when cardinality(queues) = 0 then 'empty' else 'an array of arrays' end),
      'Name at least one queue, such as array[''default''].');
  end if;
  perform pgqueue._check_name('queue', q, 200) from unnest(queues) q;
end $$;

-- source: sql/functions/private/_check_schedule.sql
-- Everything about a schedule that can be known to be wrong when it is made, so that nothing is found out at three in the morning. Returns it as it is kept: with the queue that its kind goes to
-- when none was named, and the owner of its queries.
create function pgqueue._check_schedule(schedule pgqueue.schedule) returns pgqueue.schedule
language plpgsql
as $$
begin
  schedule.queue := coalesce(schedule.queue, case schedule.kind when 'sql.query' then 'queries' when 'sql.script' then 'scripts' else 'default' end);
  perform pgqueue._check_name('name', schedule.name, 200);
  perform pgqueue._check_name('cron', translate(schedule.cron, E'\t', ' '), 1000);
  perform pgqueue._check_zone(schedule.time_zone);
  perform pgqueue._check_job(case when schedule.kind in ('sql.query', 'sql.script') then 'sql' else schedule.kind end, schedule.args, schedule.queue, schedule.priority, null, null, schedule.unique_key, schedule.group_key,
    schedule.max_attempts, schedule.timeout, schedule.expires_in, schedule.heartbeat, schedule.backoff, schedule.headers);
  if num_nonnulls(schedule.unique_by, schedule.unique_until, schedule.unique_for, schedule.on_duplicate, schedule.on_success, schedule.on_error) > 0 then
    perform pgqueue._check_flow(schedule.unique_key, schedule.unique_by, schedule.unique_until, schedule.unique_for, schedule.on_duplicate, null, null,
      schedule.on_success, schedule.on_error);
  end if;
  if schedule.kind in ('sql.query', 'sql.script') then
    schedule.args := pgqueue._check_sql_schedule(schedule);
  end if;
  if schedule.missed is null or schedule.missed not in ('skip', 'one', 'all') then
    perform pgqueue._refuse('PQ001', format('missed is %L', schedule.missed),
      'Give skip (what was missed is left out), one (one job for all that was missed) or all (a job for each).');
  end if;
  if schedule.starts_at is not null then
    perform pgqueue._check_time('starts_at', schedule.starts_at);
  end if;
  if schedule.ends_at is not null then
    perform pgqueue._check_time('ends_at', schedule.ends_at);
    if schedule.ends_at <= schedule.starts_at then
      perform pgqueue._refuse('PQ001', format('ends_at %s is not after starts_at %s', schedule.ends_at, schedule.starts_at), 'Give a later ends_at.');
    end if;
  end if;
  if pgqueue._next_tick(schedule.cron, schedule.time_zone, greatest(pgqueue._now(), schedule.starts_at), schedule.starts_at) is null then
    perform pgqueue._refuse('PQ001', format('cron %L never comes', schedule.cron), 'No such day: look at the day of the month and the month.');
  end if;
  return schedule;
end $$;

-- source: sql/functions/private/_check_session.sql
-- What a job may ask of the session its SQL runs in.
create function pgqueue._check_session(datasource text, role text, settings jsonb) returns void
language plpgsql
as $$
declare
  v_key text;
begin
  if datasource is not null then
    perform pgqueue._check_name('datasource', datasource, 200);
  end if;
  if role is not null then
    perform pgqueue._check_name('role', role, 63);
    if role = 'none' then
      perform pgqueue._refuse('PQ001', 'role is none', 'Leave it out to run as the role the worker logs in with.');
    end if;
  end if;
  if settings is null then
    return;
  end if;
  if jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', jsonb_typeof(settings)), 'Give settings of the server by name, such as {"work_mem": "64MB"}.');
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key !~ '^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$' then
      perform pgqueue._refuse('PQ001', format('%L cannot be the name of a setting', v_key), 'Give settings of the server by name, such as {"work_mem": "64MB"}.');
    end if;
    if lower(v_key) in ('role', 'session_authorization', 'statement_timeout', 'application_name', 'client_connection_check_interval', 'client_encoding',
      'standard_conforming_strings', 'default_transaction_read_only') then
      perform pgqueue._refuse('PQ001', format('%s is not for settings', v_key),
        case lower(v_key) when 'role' then 'Use the argument role.' when 'statement_timeout' then 'Use the timeout.' else 'The worker sees to it.' end);
    end if;
    if jsonb_typeof(settings -> v_key) not in ('string', 'number', 'boolean') then
      perform pgqueue._refuse('PQ001', format('setting %s is %s', v_key, jsonb_typeof(settings -> v_key)), 'Give text, a number, true or false.');
    end if;
  end loop;
end $$;

-- source: sql/functions/private/_check_settle.sql
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

-- source: sql/functions/private/_check_sql.sql
-- What user SQL may not hold, because nobody is at the other end of the line: COPY from or to the client, LISTEN, commands of psql. `single`: one statement only.
-- Functions written in SQL with BEGIN ATOMIC hold semicolons of their own.
create function pgqueue._check_sql(what text, sql text, single boolean) returns void
language plpgsql
as $$
declare
  v_kinds text[];
  v_parts text[];
  v_code text := '';
  v_statement text;
  v_statements text[];
begin
  if sql is null or sql !~ '\S' then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, case when sql is null then 'null' else 'blank' end), 'Give the text of an SQL statement.');
  end if;
  if sql !~* '\m(copy|listen)\M|\\|;' then
    return;
  end if;
  select p.kinds, p.parts into v_kinds, v_parts from pgqueue._sql_parts(sql) p;
  for i in 1..cardinality(v_kinds) loop
    v_code := v_code || case
      when v_kinds[i] = 'code' then v_parts[i]
      when v_kinds[i] = 'end' then E'\x1e'
      when v_kinds[i] in ('line', 'comment') then ' '
      else ' x ' end;
  end loop;
  v_statements := array(select s from unnest(string_to_array(v_code, E'\x1e')) s where s ~ '\S');
  if cardinality(v_statements) = 0 then
    perform pgqueue._refuse('PQ001', format('%s holds no statement', what), 'Give the text of an SQL statement.');
  end if;
  foreach v_statement in array v_statements loop
    if v_statement ~* '^\s*copy\M' and v_statement ~* '\m(from\s+stdin|to\s+stdout)\M' then
      perform pgqueue._refuse('PQ001', format('%s copies from or to the client', what),
        'No client is there to send or take the rows: use INSERT or SELECT, or COPY with a file of the server.');
    elsif v_statement ~* '^\s*listen\M' then
      perform pgqueue._refuse('PQ001', format('%s listens to a channel', what), 'The session ends with the query: listen on a connection of your own.');
    elsif v_statement ~ '\\' then
      perform pgqueue._refuse('PQ001', format('%s holds a backslash outside of a literal', what), 'Commands of psql are not SQL: give statements that the server understands.');
    end if;
  end loop;
  if single and cardinality(v_statements) > 1 and v_statements[1] !~* '^\s*create\M' then
    perform pgqueue._refuse('PQ001', format('%s holds %s statements', what, cardinality(v_statements)), 'A query is one statement; for several use submit_script.');
  end if;
end $$;

-- source: sql/functions/private/_check_sql_schedule.sql
-- What a schedule of kind sql.query or sql.script must be, and by the checks of submit_query and submit_script: its ticks call these. Returns the args as they are kept, with the owner: whoever makes
-- the schedule, and not whoever runs upkeep.
create function pgqueue._check_sql_schedule(schedule pgqueue.schedule) returns jsonb
language plpgsql
as $$
declare
  c_session constant text[] := array['owner', 'datasource', 'role', 'settings'];
  c_query constant text[] := c_session || array['sql', 'params', 'timeout', 'wait_timeout', 'max_age', 'unique', 'read_only', 'batch_rows', 'max_rows', 'max_bytes', 'ttl'];
  v_script boolean := schedule.kind = 'sql.script';
  v_keys text[] := case when schedule.kind = 'sql.script' then c_session || array['document'] else c_query end;
  v_hint text := format('They are the arguments of %s: %s. Intervals are seconds or text such as ''5 minutes''.',
    case when schedule.kind = 'sql.script' then 'submit_script' else 'submit_query' end, array_to_string(v_keys, ', '));
  v_option text;
  v_key text;
  v_call record;
  v_owner text;
  v_most integer;
  v_problem text;
begin
  select o.name into v_option
  from (values (1, 'unique_key', schedule.unique_key is not null), (2, 'group_key', schedule.group_key is not null), (3, 'max_attempts', schedule.max_attempts is not null),
    (4, 'timeout', schedule.timeout is not null), (5, 'expires_in', schedule.expires_in is not null), (6, 'heartbeat', schedule.heartbeat is not null),
    (7, 'backoff', schedule.backoff is not null), (8, 'headers', schedule.headers is not null), (9, 'unique_by', schedule.unique_by is not null),
    (10, 'unique_until', schedule.unique_until is not null), (11, 'unique_for', schedule.unique_for is not null),
    (12, 'on_duplicate', schedule.on_duplicate is not null)) o(nth, name, given)
  where o.given order by o.nth limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('a schedule of kind %s cannot have %s', schedule.kind, v_option),
      'What the query or script is to have stands in args; queue, priority, on_success and on_error are the schedule''s.');
  end if;
  select k into v_key from jsonb_object_keys(schedule.args) k where k <> all(v_keys) order by k limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('args of a schedule of kind %s cannot have %L', schedule.kind, v_key), v_hint);
  end if;
  select e.key into v_key from jsonb_each(schedule.args) e
  where e.key in ('sql', 'owner', 'datasource', 'role') and jsonb_typeof(e.value) not in ('string', 'null') order by e.key limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('%s is %s, not text', v_key, jsonb_typeof(schedule.args -> v_key)), v_hint);
  end if;
  begin
    select * into v_call from pgqueue._tick_call(schedule.args);
  exception
    when data_exception then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, v_hint);
  end;
  v_owner := pgqueue._check_submit(v_call.owner, schedule.queue, schedule.priority, v_call.datasource, v_call.role, v_call.settings);
  if v_script then
    select c.script_max_chars into v_most from pgqueue.config c;
    if pgqueue._compact_length(v_call.document) > v_most then
      perform pgqueue._refuse('PQ001', format('the document is too large: %s characters of compact JSON', pgqueue._compact_length(v_call.document)),
        format('It may have %s; pgqueue.configure changes script_max_chars.', v_most));
    end if;
    perform pgqueue._script_document(v_call.document);
  else
    perform pgqueue._check_query(v_call.sql, v_call.params, v_call.timeout, v_call.wait_timeout, v_call.max_age, v_call.ttl, v_call.batch_rows, v_call.max_rows,
      v_call.max_bytes, v_call."unique", v_call.read_only);
    if v_call.max_age is not null and num_nonnulls(schedule.on_success, schedule.on_error) > 0 then
      perform pgqueue._refuse('PQ001', 'max_age is given for a query that has follow-ups', 'Such a query always runs: leave out max_age, or on_success and on_error.');
    end if;
  end if;
  return schedule.args || jsonb_build_object('owner', v_owner);
end $$;

-- source: sql/functions/private/_check_submit.sql
-- What submit_script and submit_query have in common. Returns the owner.
create function pgqueue._check_submit(owner text, queue text, priority integer, datasource text, role text, settings jsonb) returns text
language plpgsql
as $$
declare
  v_owner text := coalesce(owner, session_user::text);
begin
  perform pgqueue._check_name('owner', v_owner, 500);
  perform pgqueue._check_name('queue', queue, 200);
  perform pgqueue._check_priority(priority);
  perform pgqueue._check_session(datasource, role, settings);
  return v_owner;
end $$;

-- source: sql/functions/private/_check_time.sql
create function pgqueue._check_time(what text, given timestamptz) returns void
language plpgsql
as $$
begin
  if not isfinite(given) or given > '9999-12-30 00:00+00' then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, given), 'Give a finite time before the year 10000, or leave it out to run as soon as possible.');
  end if;
end $$;

-- source: sql/functions/private/_check_worker.sql
-- The worker must be registered: one that was declared lost must not go on as if nothing had happened.
create function pgqueue._check_worker(worker bigint) returns void
language plpgsql
as $$
begin
  if not exists (select from pgqueue.worker w where w.id = _check_worker.worker) then
    perform pgqueue._refuse('PQ003', format('worker %s is not registered', coalesce(worker::text, 'null')),
      'It was never registered, has deregistered, or missed its heartbeats and was declared lost: call register_worker and use the new id.');
  end if;
end $$;

-- source: sql/functions/private/_check_zone.sql
-- A time zone: a name of the server's list. Abbreviations and the POSIX form, which PostgreSQL takes too, are refused: 'UTC+2' is two hours west there, and both
-- know no summer time.
create function pgqueue._check_zone(zone text) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_name('time_zone', zone, 100);
  begin
    perform now() at time zone zone;
    -- A name with a slash cannot be anything else; the list is a folder of files to read, a tenth of a second.
    if zone ~ '^[A-Za-z_-]+(/[A-Za-z_-]+)+$' or zone in ('UTC', 'GMT') or exists (select from pg_catalog.pg_timezone_names z where lower(z.name) = lower(zone)) then
      return;
    end if;
  exception
    when data_exception then null;
  end;
  perform pgqueue._refuse('PQ001', format('time_zone is %L, which this server does not know', zone),
    'Give a name of the IANA list, such as Europe/Berlin or UTC; select name from pg_timezone_names shows them.');
end $$;

-- source: sql/functions/private/_chunk_as.sql
-- A stored chunk, lines as COPY writes them, in another form. JSON numbers, booleans and documents are written as such, arrays of these and of texts as arrays, the rest as strings; what JSON has no number for (NaN,
-- Infinity) too.
create function pgqueue._chunk_as(chunk text, row_count integer, columns jsonb, format text) returns text
language plpgsql stable
as $$
declare
  v_names text[];
  v_kinds text[];
  v_escaped boolean := position('\' in chunk) > 0;
  v_rows text;
begin
  if format = 'text' or chunk is null then
    return chunk;
  end if;
  select array_agg(to_json(c.value ->> 'name')::text || ':' order by c.nth),
    array_agg(case when (c.value ->> 'oid')::bigint in (20, 21, 23, 26, 700, 701, 1700) then 'number' when (c.value ->> 'oid')::bigint = 16 then 'boolean'
      when (c.value ->> 'oid')::bigint in (114, 3802) then 'json'
      when (c.value ->> 'oid')::bigint in (1005, 1007, 1016, 1021, 1022, 1231) then 'numbers' when (c.value ->> 'oid')::bigint = 1000 then 'booleans'
      when (c.value ->> 'oid')::bigint in (1003, 1009, 1014, 1015, 1115, 1182, 1185, 2951) then 'texts' else 'text' end order by c.nth)
  into v_names, v_kinds
  from jsonb_array_elements(columns) with ordinality c(value, nth);
  if v_names is null then
    v_rows := rtrim(repeat(case format when 'csv' then E'\n' when 'json' then '{},' else '[],' end, row_count), ',');
  elsif format = 'csv' then
    v_rows := (
      select string_agg(r.line, '' order by r.nth)
      from (
        select l.nth, (
          select string_agg(case when v.value is null then '' when v.value = '' or v.value ~ '[",\n\r]' then '"' || replace(v.value, '"', '""') || '"' else v.value end, ',' order by c.nth) || E'\n'
          from unnest(string_to_array(l.line, E'\t', '\N')) with ordinality c(cell, nth)
          cross join lateral (select case when v_escaped then pgqueue._unescaped(c.cell) else c.cell end as value offset 0) v) as line
        from string_to_table(chunk, E'\n') with ordinality l(line, nth) where l.nth <= _chunk_as.row_count) r);
  else
    v_rows := (
      select string_agg(r.line, ',' order by r.nth)
      from (
        select l.nth, case format when 'json' then '{' else '[' end || (
          select string_agg(case format when 'json' then v_names[c.nth] else '' end || case
            when v.value is null then 'null'
            when v_kinds[c.nth] = 'number' and v.value !~ '[a-df-zA-DF-Z]' then v.value
            when v_kinds[c.nth] = 'boolean' then case v.value when 't' then 'true' else 'false' end
            when v_kinds[c.nth] = 'json' then v.value
            when v_kinds[c.nth] = 'numbers' then to_jsonb(v.value::numeric[])::text
            when v_kinds[c.nth] = 'booleans' then to_jsonb(v.value::boolean[])::text
            when v_kinds[c.nth] = 'texts' then to_jsonb(v.value::text[])::text
            else to_json(v.value)::text end, ',' order by c.nth)
          from unnest(string_to_array(l.line, E'\t', '\N')) with ordinality c(cell, nth)
          cross join lateral (select case when v_escaped then pgqueue._unescaped(c.cell) else c.cell end as value offset 0) v) || case format when 'json' then '}' else ']' end as line
        from string_to_table(chunk, E'\n') with ordinality l(line, nth) where l.nth <= _chunk_as.row_count) r);
  end if;
  return case format when 'csv' then coalesce(v_rows, '') else '[' || coalesce(v_rows, '') || ']' end;
end $$;

-- source: sql/functions/private/_claim_suspect.sql
-- One job that came out of a crash, leased alone: the oldest of these queues. A worker that holds a job of two or more crashes is given no second one.
-- Returns the lease's id, or null.
--
-- One candidate for each queue, ten queues at most, those whose suspects wait longest: where one of a queue is not given for want of room, no other of it is.
-- Sorting the suspects of all the queues would read every one of them.
create function pgqueue._claim_suspect(worker bigint, queues text[]) returns bigint
language plpgsql
as $$
declare
  v_job record;
  v_careful boolean;
  v_lease bigint;
begin
  -- As in _pick_limited, and before anything is counted.
  perform from pgqueue.limiter l where l.queue = any(queues) order by l.queue for no key update;
  select exists (
    select from pgqueue.lease l cross join unnest(l.job_ids, l.traits) j(id, traits)
    where l.worker_id = _claim_suspect.worker and j.traits & 32 <> 0
      and (select c.crashes from pgqueue.crash c where c.job_id = j.id) >= 2) into v_careful;
  for v_job in
    select s.*
    from (
      select h.queue, h.history, h.most_running
      from (
        select u.queue, q.history, q.most_running, (
          select s.seq from pgqueue.suspect s
          where s.queue = u.queue and (s.crashes < 2 or not v_careful) order by s.queue, s.seq limit 1) as first
        from (select distinct n.queue from unnest(queues) n(queue)) u
        left join pgqueue.queue q on q.name = u.queue
        where q.paused_at is null) h
      where h.first is not null
      order by h.first limit 10) h
    cross join lateral (
      select s.ctid, s.*, h.history, h.most_running from pgqueue.suspect s
      where s.queue = h.queue and (s.crashes < 2 or not v_careful) order by s.queue, s.seq limit 1 for update skip locked) s
    order by s.seq
  loop
    continue when pgqueue._room(v_job.queue, v_job.most_running) <= 0;
    delete from pgqueue.suspect s where s.ctid = v_job.ctid;
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    values (pgqueue._lease_number(), _claim_suspect.worker, pgqueue._now(), pgqueue._forget(v_job.history), v_job.queue,
      array[v_job.job_id], array[v_job.attempt + 1]::smallint[], array[v_job.traits])
    returning id into v_lease;
    if v_job.traits & 1024 <> 0 then
      perform pgqueue._keyed_claimed(array[v_lease]);
    end if;
    if v_job.traits & 2048 <> 0 then
      perform pgqueue._give_up_keys(array[v_lease]);
    end if;
    perform pgqueue._starts(array[v_lease]) from pgqueue.queue q where q.name = v_job.queue and (q.rate_limit is not null or q.counted);
    return v_lease;
  end loop;
  return null;
end $$;

-- source: sql/functions/private/_compact_length.sql
-- The length of a document as compact JSON text, without blanks after colons and commas, in characters.
create function pgqueue._compact_length(document jsonb) returns integer
language sql immutable
return length(regexp_replace(document::text, '("(?:[^"\\]|\\.)*")|([:,]) ', '\1\2', 'g'));

-- source: sql/functions/private/_count_outcomes.sql
-- Counts the outcomes of one stretch of time, `until` not included, into metric. Returns how many there were, or null when there are more than `most` and nothing was done.
-- Outcomes are found by the block range index on finished_at, which only a bitmap can read; it knows the pages of the last minute not yet, so each call reads those. Jobs are read by their ids.
create function pgqueue._count_outcomes(since timestamptz, until timestamptz, most bigint) returns bigint
language plpgsql
set enable_bitmapscan = on
set enable_hashjoin = on
set work_mem = '32MB'
as $$
declare
  v_jobs bigint[];
  v_minutes timestamptz[];
  v_states pgqueue.final_state[];
  v_claims timestamptz[];
  v_runs interval[];
  v_low bigint;
  v_high bigint;
begin
  -- How long a job of a later attempt has waited its row does not tell: its time in the queue is mixed with what it did before.
  select array_agg(o.job_id), array_agg(date_trunc('minute', o.finished_at, 'UTC')), array_agg(o.state), array_agg(o.finished_at - o.claimed_at),
    array_agg(case when o.attempt = 1 then o.claimed_at end), min(o.job_id), max(o.job_id)
  into v_jobs, v_minutes, v_states, v_runs, v_claims, v_low, v_high
  from (
    select o.job_id, o.finished_at, o.state, o.claimed_at, o.attempt
    from pgqueue.outcome o where o.finished_at >= since and o.finished_at < until limit most + 1) o;
  if v_jobs is null then
    return 0;
  elsif cardinality(v_jobs) > most then
    return null;
  end if;
  insert into pgqueue.metric as m (minute, queue, kind, succeeded, failed, cancelled, wait_buckets, run_buckets, wait_max, run_max)
  with job as materialized (
    select j.id, j.queue, j.kind, j.created_at from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs)),
  done as (
    select e.minute, j.queue, j.kind, e.state, e.claimed_at - j.created_at as wait, e.run
    from unnest(v_jobs, v_minutes, v_states, v_claims, v_runs) e(id, minute, state, claimed_at, run)
    join job j on j.id = e.id),
  alike as materialized (
    select d.minute, d.queue, d.kind, d.state, pgqueue._duration_bucket(d.wait) as wait, pgqueue._duration_bucket(d.run) as run, count(*) as n, max(d.wait) as wait_max, max(d.run) as run_max
    from done d group by 1, 2, 3, 4, 5, 6)
  select a.minute, a.queue, a.kind,
    coalesce(sum(a.n) filter (where a.state = 'succeeded'), 0), coalesce(sum(a.n) filter (where a.state = 'failed'), 0), coalesce(sum(a.n) filter (where a.state = 'cancelled'), 0),
    pgqueue._spread(array_agg(a.wait), array_agg(a.n)), pgqueue._spread(array_agg(a.run), array_agg(a.n)), max(a.wait_max), max(a.run_max)
  from alike a
  group by a.minute, a.queue, a.kind
  on conflict (minute, queue, kind) do update
  set succeeded = m.succeeded + excluded.succeeded, failed = m.failed + excluded.failed, cancelled = m.cancelled + excluded.cancelled,
    wait_buckets = pgqueue._sum_buckets(m.wait_buckets, excluded.wait_buckets), run_buckets = pgqueue._sum_buckets(m.run_buckets, excluded.run_buckets),
    wait_max = greatest(m.wait_max, excluded.wait_max), run_max = greatest(m.run_max, excluded.run_max);
  return cardinality(v_jobs);
end $$;

-- source: sql/functions/private/_cron.sql
-- Reads a cron expression of five fields, or one of the words for them. Refuses with PQ001 what is none, and says which field.
create function pgqueue._cron(cron text) returns pgqueue.cron_spec
language plpgsql
as $$
declare
  c_months constant text[] := array['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
  c_weekdays constant text[] := array['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
  v_text text := btrim(cron, E' \t');
  v_fields text[];
  v_spec pgqueue.cron_spec;
begin
  if v_text like '@%' then
    v_text := case lower(v_text)
      when '@hourly' then '0 * * * *'
      when '@daily' then '0 0 * * *'
      when '@midnight' then '0 0 * * *'
      when '@weekly' then '0 0 * * 0'
      when '@monthly' then '0 0 1 * *'
      when '@yearly' then '0 0 1 1 *'
      when '@annually' then '0 0 1 1 *' end;
    if v_text is null then
      perform pgqueue._refuse('PQ001', format('cron is %L', cron), 'The words are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.');
    end if;
  end if;
  v_fields := regexp_split_to_array(v_text, '[ \t]+');
  if cardinality(v_fields) <> 5 then
    perform pgqueue._refuse('PQ001', format('cron %L has %s fields, not 5', cron, case when v_text = '' then 0 else cardinality(v_fields) end),
      'Give minute, hour, day of the month, month and day of the week, such as ''30 7 * * mon-fri''; or a word such as @daily; or ''every 10 minutes''.');
  end if;
  v_spec.minutes := pgqueue._cron_field('minute', v_fields[1], 0, 59, null);
  v_spec.hours := pgqueue._cron_field('hour', v_fields[2], 0, 23, null);
  v_spec.days := pgqueue._cron_field('day of the month', v_fields[3], 1, 31, null);
  v_spec.months := pgqueue._cron_field('month', v_fields[4], 1, 12, c_months);
  v_spec.weekdays := array(
    select distinct d % 7 from unnest(pgqueue._cron_field('day of the week', v_fields[5], 0, 7, c_weekdays)) d order by 1);
  -- As Debian's cron has both: what begins with a star, */2 too, restricts along with the other field, and does not follow the clock on the wall.
  v_spec.both_days := v_fields[3] like '*%' or v_fields[5] like '*%';
  v_spec.fixed := v_fields[1] not like '*%' and v_fields[2] not like '*%';
  return v_spec;
end $$;

-- source: sql/functions/private/_cron_day.sql
-- Whether an expression has ticks on a day.
create function pgqueue._cron_day(spec pgqueue.cron_spec, day date) returns boolean
language sql immutable
return extract(month from day) = any(spec.months)
  and case when spec.both_days
    then extract(day from day) = any(spec.days) and extract(dow from day) = any(spec.weekdays)
    else extract(day from day) = any(spec.days) or extract(dow from day) = any(spec.weekdays) end;

-- source: sql/functions/private/_cron_elapsed.sql
-- The next tick of an expression that follows the time that passes: every moment at which the clock on the wall shows what it names, so twice in an hour that comes
-- twice and never in one that does not come. As long as the offset stays, the way on the wall is the way in time; so it goes from change to change, and over
-- long stretches in which nothing is named in one step.
create function pgqueue._cron_elapsed(spec pgqueue.cron_spec, zone text, after timestamptz) returns timestamptz
language plpgsql
as $$
declare
  v_here timestamptz := date_trunc('second', after) + interval '1 second';  -- may be a tick itself
  v_change timestamptz;
  v_local timestamp;
  v_match timestamp;
  v_tick timestamptz;
  v_seen timestamptz;
begin
  loop
    v_local := v_here at time zone zone;
    v_match := pgqueue._cron_local(spec, v_local);
    exit when v_match is null;
    v_tick := v_here + (v_match - v_local);
    v_seen := least(v_tick, v_here + interval '24 hours');
    if pgqueue._zone_offset(v_seen, zone) <> pgqueue._zone_offset(v_here, zone) then
      v_change := pgqueue._zone_change(v_here, v_seen, zone);
      if v_tick < v_change then
        return v_tick;
      end if;
      v_here := v_change;
    elsif v_seen = v_tick then
      return v_tick;
    else
      -- Nothing is named from here to v_match, and a clock set back within that shows nothing from before here: a day has passed.
      v_here := greatest(v_seen, (v_match - interval '1 day') at time zone zone);
    end if;
  end loop;
  return null;
end $$;

-- source: sql/functions/private/_cron_every.sql
-- The interval of `every <interval>`, null when it is no such text. Months and years are refused: they have no length to multiply.
create function pgqueue._cron_every(cron text) returns interval
language plpgsql
as $$
declare
  c_hint constant text := 'Give an interval from a second to 100 years, such as ''every 90 seconds'' or ''every hour''; for months and years @monthly, @yearly or five fields.';
  v_text text := (regexp_match(cron, '^[ \t]*every[ \t]+(.*)$', 'i'))[1];
  v_every interval;
begin
  if v_text is null then
    return null;
  end if;
  begin
    v_every := (case when v_text ~ '[0-9]' then v_text else '1 ' || v_text end)::interval;
    perform pgqueue._check_interval('the interval of cron', v_every, true);
  exception
    when data_exception then null;
  end;
  if v_every is null or v_every < interval '1 second' or extract(year from v_every) <> 0 or extract(month from v_every) <> 0 then
    perform pgqueue._refuse('PQ001', format('cron: %L is no interval to repeat', cron), c_hint);
  end if;
  return make_interval(secs => extract(epoch from v_every)::float8);
end $$;

-- source: sql/functions/private/_cron_field.sql
-- One field of a cron expression as the sorted numbers it names. `lowest` and `highest` bound it, `names` are words for the numbers from `lowest` on.
create function pgqueue._cron_field(field text, given text, lowest integer, highest integer, names text[]) returns integer[]
language plpgsql
as $$
declare
  c_hint constant text := format('Give %s as *, numbers from %s to %s%s, ranges (1-5) and steps (*/2), separated by commas.', field, lowest, highest,
    case when names is not null then format(' or names (%s to %s)', names[1], names[cardinality(names)]) else '' end);
  v_term text;
  v_parts text[];
  v_ends integer[];
  v_step integer;
  v_found integer[] := array[]::integer[];
begin
  foreach v_term in array string_to_array(upper(given collate "C"), ',') loop
    v_parts := regexp_match(v_term, '^(?:(\*)|([0-9]{1,9}|[A-Z]+)(?:-([0-9]{1,9}|[A-Z]+))?)(?:/([0-9]{1,9}))?$');
    if v_parts is null then
      perform pgqueue._refuse('PQ001', format('cron: %s is %L, and %L cannot be read', field, given, v_term), c_hint);
    end if;
    v_step := coalesce(v_parts[4]::integer, 1);
    if v_step = 0 then
      perform pgqueue._refuse('PQ001', format('cron: the step of %s is 0 in %L', field, v_term), c_hint);
    end if;
    if v_parts[1] = '*' then
      v_ends := array[lowest, highest];
    else
      -- A number alone ends where it begins, but where it has a step at the highest. Friday to Sunday is a range too: Sunday is 7 there.
      v_ends := array(
        select case
          when e.word ~ '^[0-9]' then e.word::integer
          when e.nth = 2 and highest = 7 and e.word = 'SUN' then 7
          else array_position(names, e.word) - 1 + lowest end
        from unnest(v_parts[2:3]) with ordinality e(word, nth) where e.word is not null order by e.nth);
      if cardinality(v_ends) = 1 then
        v_ends := v_ends || case when v_parts[4] is null then v_ends[1] else highest end;
      end if;
      if array_position(v_ends, null) is not null or v_ends[1] < lowest or v_ends[2] > highest or v_ends[1] > highest then
        perform pgqueue._refuse('PQ001', format('cron: %s is %s in %L, not from %s to %s', field, concat_ws('-', v_parts[2], v_parts[3]), v_term, lowest, highest), c_hint);
      elsif v_ends[1] > v_ends[2] then
        perform pgqueue._refuse('PQ001', format('cron: the range %s of %s runs backwards', v_term, field), c_hint);
      end if;
    end if;
    v_found := v_found || array(select n from generate_series(v_ends[1], v_ends[2], v_step) n);
  end loop;
  return array(select distinct n from unnest(v_found) n order by n);
end $$;

-- source: sql/functions/private/_cron_fixed.sql
-- The next tick of an expression that names times of the clock on the wall: each comes once. One that the clock skips is right after the gap; of one that comes
-- twice it is the first.
create function pgqueue._cron_fixed(spec pgqueue.cron_spec, zone text, after timestamptz) returns timestamptz
language plpgsql
as $$
declare
  v_local timestamp := (after + interval '1 microsecond') at time zone zone;
  v_guess timestamptz;
  v_tick timestamptz;
begin
  loop
    v_local := pgqueue._cron_local(spec, v_local);
    exit when v_local is null;
    -- The offset is that of the day before or that of the day after; no zone has changed twice in so short a time.
    v_guess := v_local at time zone zone;
    select min(c) into v_tick
    from unnest(array[v_guess - interval '24 hours', v_guess, v_guess + interval '24 hours']) near(moment)
    cross join lateral (select (v_local at time zone 'UTC') - pgqueue._zone_offset(near.moment, zone)) candidate(c)
    where c at time zone zone = v_local;
    v_tick := coalesce(v_tick, pgqueue._zone_change(v_guess - interval '24 hours', v_guess + interval '24 hours', zone));
    if v_tick > after then
      return v_tick;
    end if;
    -- `after` is in the second pass of an hour that comes twice, and this was in the first.
    v_local := v_local + interval '1 minute';
  end loop;
  return null;
end $$;

-- source: sql/functions/private/_cron_local.sql
-- The first minute at or after `since` that an expression names, on a clock that never changes. Null when there is none in the next fifty years, which is more
-- than the longest pause of any expression: 40 years from one 29 February on a given day of the week to the next.
create function pgqueue._cron_local(spec pgqueue.cron_spec, since timestamp) returns timestamp
language plpgsql
as $$
declare
  v_since timestamp := date_trunc('minute', since + interval '59.999999 seconds');
  v_day date := v_since::date;
  v_hour integer := extract(hour from v_since);
  v_minute integer;
  v_month date;
begin
  if pgqueue._cron_day(spec, v_day) then
    if v_hour = any(spec.hours) then
      select min(m) into v_minute from unnest(spec.minutes) m where m >= extract(minute from v_since);
    end if;
    if v_minute is null then
      select min(h) into v_hour from unnest(spec.hours) h where h > extract(hour from v_since);
      v_minute := spec.minutes[1];
    end if;
    if v_hour is not null then
      return v_day + make_interval(hours => v_hour, mins => v_minute);
    end if;
  end if;

  v_day := v_day + 1;
  for v_month in
    select m::date from generate_series(date_trunc('month', v_day::timestamp), v_day + interval '50 years', interval '1 month') m
    where extract(month from m) = any(spec.months)
  loop
    select min(d)::date into v_day
    from generate_series(greatest(v_month, v_since::date + 1)::timestamp, v_month + interval '1 month' - interval '1 day', interval '1 day') d
    where pgqueue._cron_day(spec, d::date);
    if v_day is not null then
      return v_day + make_interval(hours => spec.hours[1], mins => spec.minutes[1]);
    end if;
  end loop;
  return null;
end $$;

-- source: sql/functions/private/_cursor.sql
-- Where a scan of a queue-like index starts. Rows that were claimed leave dead entries at the head of the index, and while any session holds
-- an old snapshot nothing may remove them: a scan from the start walks them all. So each database session remembers, per lane, the lowest
-- turn it last saw, and starts there. It is a hint with an expiry: once expired, a scan from the start (a sweep) finds what was committed
-- late with an earlier turn; a sweep that cost much is due less often.
--
-- The memory is 256 custom settings of the session, used as a direct-mapped cache: neither a row, so it leaves nothing dead behind, nor one
-- setting per lane, so it does not grow with their number. A lane that lost its place to another starts from the beginning again.
create function pgqueue._cursor(
  in purpose text,
  in queue text,
  in priority integer,
  out floor bigint,
  out expires float8)
language plpgsql
as $$
declare
  v_text text := current_setting(pgqueue._cursor_name(purpose, queue, priority), true);
  v_owner text := pgqueue._cursor_owner(purpose, queue, priority);
begin
  floor := pgqueue._floor_of(v_text, v_owner);
  expires := pgqueue._expiry_of(v_text, v_owner);
end $$;

-- source: sql/functions/private/_cursor_name.sql
-- The setting that holds the cursor of a purpose and lane. Inlined: keep it one expression.
create function pgqueue._cursor_name(purpose text, queue text, priority integer) returns text
language sql immutable
return 'pgqueue.cursor_' || (hashtextextended(queue, (16 * priority + length(purpose))::bigint) & 255)::text;

-- source: sql/functions/private/_cursor_owner.sql
-- How the text of a cursor begins: whose it is. Inlined: keep it one expression, and its casts, without which it would not be immutable.
create function pgqueue._cursor_owner(purpose text, queue text, priority integer) returns text
language sql immutable
return queue || E'\x1f' || priority::text || E'\x1f' || purpose || E'\x1f';

-- source: sql/functions/private/_cursor_text.sql
-- What the setting of a cursor holds: whose cursor it is, the turn to start from, when it expires. The margin finds what neighbours in time commit a
-- moment late without a sweep. Inlined: keep it one expression.
create function pgqueue._cursor_text(purpose text, queue text, priority integer, seen bigint, expires float8) returns text
language sql immutable
return pgqueue._cursor_owner(purpose, queue, priority) || (greatest(seen - 100, 0))::text || E'\x1f' || expires::text;

-- source: sql/functions/private/_dead_letters.sql
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

-- source: sql/functions/private/_declared_schedule.sql
-- A schedule as a program declares it: an object whose keys are the parameters of the function schedule. Refuses unknown keys; what cannot be read as the parameter's
-- type fails as a data exception.
create function pgqueue._declared_schedule(declared jsonb) returns pgqueue.schedule
language plpgsql
as $$
declare
  c_keys constant text[] := array['name', 'cron', 'kind', 'args', 'time_zone', 'queue', 'missed', 'priority', 'unique_key', 'group_key', 'max_attempts', 'timeout',
    'expires_in', 'heartbeat', 'backoff', 'headers', 'starts_at', 'ends_at', 'unique_by', 'unique_until', 'unique_for', 'on_duplicate',
    'on_success', 'on_error'];
  c_hint constant text := format('Give an object; its keys are %s; time spans are seconds or interval text.', array_to_string(c_keys, ', '));
  v_given jsonb := jsonb '{"args": {}, "time_zone": "UTC", "missed": "one", "priority": 0}';
  v_key text;
begin
  if jsonb_typeof(declared) <> 'object' then
    perform pgqueue._refuse('PQ001', format('the declaration is %s, not an object', jsonb_typeof(declared)), c_hint);
  end if;
  for v_key in select k from jsonb_object_keys(declared) k where not k = any(c_keys) order by k loop
    perform pgqueue._refuse('PQ001', format('%L is no parameter of schedule', v_key), c_hint);
  end loop;
  v_given := v_given || coalesce((select jsonb_object_agg(e.key, e.value) from jsonb_each(declared) e where e.value <> 'null'), '{}');
  return jsonb_populate_record(null::pgqueue.schedule, v_given);
end $$;

-- source: sql/functions/private/_derived_key.sql
-- The unique key of a job whose key is made of some of its arguments, none meaning all: the kind and what they are, as jsonb writes it, so that order and spaces do
-- not count; an argument that is not given differs from one that is null. A long one is cut and told from others by its digest.
create function pgqueue._derived_key(kind text, args jsonb, names text[]) returns text
language plpgsql immutable
as $$
declare
  v_key text;
begin
  if names is null then
    return null;
  end if;
  v_key := kind || ' ' || case when cardinality(names) = 0 then args
    else coalesce((select jsonb_object_agg(a.key, a.value) from jsonb_each(args) a where a.key = any(names)), '{}') end::text;
  return case when length(v_key) <= 500 and octet_length(v_key) <= 1800 then v_key else left(v_key, 430) || ' ' || encode(sha256(convert_to(v_key, 'UTF8')), 'hex') end;
end $$;

-- source: sql/functions/private/_drop_expired.sql
-- Of jobs just leased: those whose queue timeout has passed before they ever started fail now instead of being handed out. Returns the leases that are left.
create function pgqueue._drop_expired(leases bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_lease pgqueue.lease;
  v_new bigint[];
  v_late bigint[];
begin
  for v_lease in select * from pgqueue.lease l where l.id = any(leases) and l.traits is not null loop
    v_new := array(select e.id from unnest(v_lease.job_ids, v_lease.traits) e(id, traits) where e.traits & 16 <> 0);
    v_late := array(
      select j.id from pgqueue.job j
      where j.id between (select min(i) from unnest(v_new) i) and (select max(i) from unnest(v_new) i) and j.id = any(v_new)
        and j.expires_at <= pgqueue._now());
    continue when cardinality(v_late) = 0;
    perform pgqueue._unlease(v_lease, v_late);
    perform pgqueue._finish(array[e.id], array['failed'], array['queue_timeout'], array[e.attempt - 1]::smallint[], array[e.traits], null, null, null, v_lease.forget)
    from unnest(v_lease.job_ids, v_lease.attempts, v_lease.traits) e(id, attempt, traits) where e.id in (select i from unnest(v_late) i);
  end loop;
  return array(select l.id from pgqueue.lease l where l.id = any(leases) order by l.id);
end $$;

-- source: sql/functions/private/_drop_slices.sql
-- Ends the slices of an aborted batch that wait where most do, all at once; the few that are elsewhere, or running, are for cancel.
create function pgqueue._drop_slices(batch pgqueue.batch, slices bigint[]) returns void
language plpgsql
as $$
declare
  v_gone bigint[];
  v_more bigint[];
  v_traits integer[];
  v_attempts smallint[];
  v_more_traits integer[];
begin
  if cardinality(slices) = 0 then
    return;
  end if;
  with picked as (
    select r.ctid from pgqueue.ready r
    where r.queue = (batch).queue and r.priority = (batch).priority and r.seq between slices[1] and slices[cardinality(slices)] and r.job_id = any(slices) and r.seq = r.job_id
    for update skip locked),
  gone as (delete from pgqueue.ready r where r.ctid = any(array(select p.ctid from picked p)) returning r.job_id, r.traits)
  select array_agg(g.job_id), array_agg(g.traits) into v_gone, v_traits from gone g;
  -- Those that have been given back or wait for another try.
  with again as (
    delete from pgqueue.ready r
    where r.ctid = any(array(select r.ctid from pgqueue.ready r where r.job_id = any(slices) and r.seq <> r.job_id for update skip locked)) returning r.job_id, r.traits, r.attempt),
  later as (
    delete from pgqueue.scheduled r
    where r.ctid = any(array(select r.ctid from pgqueue.scheduled r where r.job_id = any(slices) for update skip locked)) returning r.job_id, r.traits, r.attempt),
  gone as (select a.* from again a union all select l.* from later l)
  select array_agg(g.job_id), array_agg(g.traits), array_agg(g.attempt) into v_more, v_more_traits, v_attempts from gone g;
  v_attempts := array_fill(0::smallint, array[coalesce(cardinality(v_gone), 0)]) || v_attempts;
  v_gone := v_gone || v_more;
  v_traits := v_traits || v_more_traits;
  with gone as (delete from pgqueue.held h where h.batch_id = (batch).id returning h.job_id, h.traits)
  select array_agg(g.job_id), array_agg(g.traits) into v_more, v_more_traits from gone g;
  v_gone := v_gone || v_more;
  v_traits := v_traits || v_more_traits;
  if v_gone is not null then
    perform pgqueue._finish(v_gone, array_fill('cancelled'::text, array[cardinality(v_gone)]), array_fill('cancelled_by_user'::text, array[cardinality(v_gone)]),
      v_attempts || array_fill(0::smallint, array[cardinality(v_gone) - cardinality(v_attempts)]), array(select t & ~512 from unnest(v_traits) t), null, null, null, pgqueue._forget((select q.history from pgqueue.queue q where q.name = (batch).queue)));
  end if;
end $$;

-- source: sql/functions/private/_due_cursor.sql
-- Where a scan of an index on due times starts: due rows leave dead entries at its head as claims do. As _cursor, in times: `floor` is one second before the
-- earliest row last seen, or the beginning when a sweep is due.
create function pgqueue._due_cursor(
  in purpose text,
  out floor timestamptz,
  out sweep_started float8,
  out expires float8)
language plpgsql
as $$
declare
  v_clock float8 := extract(epoch from clock_timestamp());
  v_cursor record;
begin
  select * into v_cursor from pgqueue._cursor(purpose, '', 0);
  expires := v_cursor.expires;
  if v_clock >= expires then
    floor := '-infinity';
    sweep_started := v_clock;
  else
    floor := to_timestamp((v_cursor.floor - 1000) / 1000.0);
  end if;
end $$;

-- source: sql/functions/private/_duration_bucket.sql
-- Which power of two of a millisecond a span belongs to: 0 below 1 ms, 1 from 1 to below 2 ms, 2 from 2 to below 4 ms …, 41 from 2^40 ms (35 years) on. Null for none; 0 for one that a
-- clock set back has made negative. A list, since a logarithm of numeric takes longer than all the rest of counting an outcome.
create function pgqueue._duration_bucket(span interval) returns integer
language sql immutable
return width_bucket((extract(epoch from span) * 1000)::float8, array[
  1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144, 524288, 1048576, 2097152, 4194304, 8388608, 16777216,
  33554432, 67108864, 134217728, 268435456, 536870912, 1073741824, 2147483648, 4294967296, 8589934592, 17179869184, 34359738368, 68719476736, 137438953472,
  274877906944, 549755813888, 1099511627776]::float8[]);

-- source: sql/functions/private/_duty_admit.sql
-- Upkeep: arrivals that no claim has looked at, for queues nobody claims from just now. Bounded per queue; claims do the bulk. And jobs that came back and stood among the blocked to have their start counted
-- (slot state 4), while somebody was changing the queue to one whose starts are not: see _no_longer_counted. The places of jobs that failed while somebody was changing the queue to
-- one where that blocks nobody. And jobs that a claim put aside while somebody was taking the limit away: where there is none, no
-- slot that is given up is for anybody.
create function pgqueue._duty_admit() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
  perform pgqueue._no_longer_counted(s.queue) from (select distinct s.queue from (select s.queue from pgqueue.slot s where s.state = 4 order by s.queue limit 10000) s) s;
  with gone as (
    delete from pgqueue.slot s
    where s.ctid = any(array(
      select s.ctid
      from (select s.ctid, s.queue from pgqueue.slot s where s.state = 3 order by s.queue, s.group_key limit 10000) s
      where (select q.group_failure from pgqueue.queue q where q.name = s.queue) is distinct from 'block')) and s.state = 3
    returning s.queue, s.group_key)
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  select nextval('pgqueue.job_id'), 0, 0, 0, g.queue, g.group_key from (select distinct g.queue, g.group_key from gone g) g;
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  select nextval('pgqueue.job_id'), 0, 0, 0, g.queue, g.group_key
  from (
    select distinct b.queue, b.group_key
    from (select q.name from pgqueue.queue q where q.group_limit is null and not q.counted offset 0) q
    cross join lateral (
      select b.queue, b.group_key from pgqueue.blocked b where b.queue = q.name order by b.queue, b.group_key, b.priority desc, b.seq limit 1000) b) g;
  return (
    select coalesce(sum(pgqueue._admit(l.queue, 1000)), 0)
    from (select distinct l.queue from pgqueue.lane l where l.grouped order by 1) l);
end $$;

-- source: sql/functions/private/_duty_age.sql
-- Upkeep: in queues with ageing, who has waited that long in a lower lane goes to the end of the highest that has jobs. The head of a lane is its oldest, so the walk ends at the first that has not waited long enough.
-- Turns and ids are drawn from one sequence: a job became ready before the first later job was enqueued, which is the latest time that it can have been. At most a thousand of a lane in one pass.
create function pgqueue._duty_age() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_lane record;
  v_queue text := '';
  v_highest smallint;
  v_start float8;
  v_cursor record;
  v_first bigint;
  v_old tid[];
  v_done bigint := 0;
  v_jobs bigint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  for v_lane in
    select q.name, q.ageing, l.priority
    from (select q.name, q.ageing from pgqueue.queue q where q.ageing is not null and q.paused_at is null offset 0) q
    cross join lateral (select distinct l.priority from pgqueue.lane l where l.queue = q.name) l
    order by q.name, l.priority desc
  loop
    if v_lane.name <> v_queue then
      v_queue := v_lane.name;
      v_highest := null;
    end if;
    v_start := date_part('epoch', clock_timestamp());
    select * into v_cursor from pgqueue._cursor('ready', v_queue, v_lane.priority);
    if v_start >= v_cursor.expires then
      v_cursor.floor := 0;
    end if;
    v_first := (
      select r.seq from pgqueue.ready r
      where r.queue = v_queue and r.priority = v_lane.priority and r.seq >= v_cursor.floor order by r.seq limit 1);
    perform pgqueue._set_cursor('ready', v_queue, v_lane.priority, v_first, case when v_start >= v_cursor.expires then v_start end, v_cursor.expires);
    continue when v_first is null;
    if v_highest is null then
      v_highest := v_lane.priority;
      continue;
    end if;
    v_old := array(
      select r.ctid from pgqueue.ready r
      where r.queue = v_queue and r.priority = v_lane.priority and r.seq between v_first and pgqueue._turn_before(v_now - v_lane.ageing, v_first)
      order by r.seq limit 1000 for update skip locked);
    continue when cardinality(v_old) = 0;
    with gone as (
      delete from pgqueue.ready r where r.ctid = any(v_old) returning r.seq, r.job_id, r.attempt, r.traits | 64 as traits),
    changed as (
      insert into pgqueue.changed_priority (job_id, priority) select g.job_id, v_highest from gone g
      on conflict (job_id) do update set priority = excluded.priority)
    select array_agg(g.job_id order by g.seq), array_agg(g.attempt order by g.seq), array_agg(g.traits order by g.seq) into v_jobs, v_attempts, v_traits from gone g;
    perform pgqueue._enter(v_jobs, array_fill(v_queue, array[cardinality(v_jobs)]), array_fill(v_highest, array[cardinality(v_jobs)]), v_attempts, v_traits, true);
    v_done := v_done + cardinality(v_jobs);
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_duty_blocks.sql
-- Upkeep: blocks ahead of the sequence. A block that has been in use for `block_age` is closed by moving the sequence to the next one, so that history
-- of a quiet installation can be dropped by time as well; the skipped ids cost nothing. An enqueue that drew an id before the jump still finds
-- its block there.
create function pgqueue._duty_blocks() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_config pgqueue.config;
  v_last bigint;
  v_current pgqueue.block;
  v_low bigint;
  v_done bigint := 0;
begin
  select * into v_config from pgqueue.config;
  select s.last_value into v_last from pgqueue.job_id s;
  select * into v_current from pgqueue.block b where v_last >= b.low and v_last < b.high;
  if found
    and (select min(j.created_at) from (select j.created_at from pgqueue.job j where j.id >= v_current.low and j.id < v_current.high order by j.id limit 1) j)
      < v_now - v_config.block_age
  then
    select b.low into v_low from pgqueue.block b where b.low >= v_current.high order by b.low limit 1;
    if found then
      -- Others draw from the sequence meanwhile: forward only, and never past the block they have reached.
      perform setval('pgqueue.job_id', v_low, false) where (select s.last_value from pgqueue.job_id s) < v_current.high;
      v_last := v_low;
      v_done := v_done + 1;
    end if;
  end if;
  while (select count(*) from pgqueue.block b where b.high > v_last) <= v_config.blocks_ahead loop
    select coalesce(max(b.high), 0) into v_low from pgqueue.block b;
    v_low := greatest(v_low, v_last / v_config.block_size * v_config.block_size);
    perform pgqueue._add_block(v_low, v_low + v_config.block_size);
    v_done := v_done + 1;
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_duty_dependents.sql
-- Upkeep: what parent_look asks for, five thousand of its rows and of the children they name a pass; next_due says that there is more. A parent that is not known to have ended is looked
-- for: has it, its children are told; does it wait, that it has some is written into its row; else it runs, or moves just now, and is looked for again. One without an
-- outcome and without a row has ended in a queue that keeps no history, and counts as succeeded. One whose retry is under way has its outcome locked, and is left alone: that retry
-- may not have seen its children, but the next look does.
create function pgqueue._duty_dependents() returns bigint
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_start float8 := date_part('epoch', clock_timestamp());
  v_cursor record;
  v_sweep boolean;
  v_picked tid[];
  v_first bigint;
  v_parents bigint[];
  v_states text[];
  v_lows bigint[];
  v_highs bigint[];
  v_asked bigint[];
  v_low bigint;
  v_high bigint;
  v_known bigint[];
  v_ended bigint[];
  v_ends text[];
  v_marked bigint[];
begin
  select * into v_cursor from pgqueue._cursor('parents', '', 0);
  v_sweep := v_start >= v_cursor.expires;
  select array_agg(p.ctid), min(p.seq) into v_picked, v_first
  from (
    select p.ctid, p.seq from pgqueue.parent_look p
    where p.seq >= case when v_sweep then 0 else v_cursor.floor end
    order by p.seq limit 5000 for update skip locked) p;
  if v_first is not null or v_sweep then
    perform pgqueue._set_cursor('parents', '', 0, v_first, case when v_sweep then v_start end, v_cursor.expires);
  end if;
  if v_picked is null then
    return pgqueue._enqueue_late();
  end if;
  with gone as (delete from pgqueue.parent_look p where p.ctid = any(v_picked) returning p.*)
  select array_agg(g.job_id order by g.seq), array_agg(g.state order by g.seq), array_agg(g.low order by g.seq), array_agg(g.high order by g.seq)
  into v_parents, v_states, v_lows, v_highs from gone g;

  select array_agg(a.id order by a.id), min(a.id), max(a.id) into v_asked, v_low, v_high
  from (select distinct e.id from unnest(v_parents, v_states) e(id, state) where e.state is null) a;
  if v_asked is not null then
    v_known := array(select j.id from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_asked));
    select array_agg(o.job_id), array_agg(o.state::text) into v_ended, v_ends
    from (
      select o.job_id, o.state from pgqueue.outcome o
      where o.job_id between v_low and v_high and o.job_id = any(v_asked) for key share skip locked) o;
    v_marked := pgqueue._mark_parents(array(select i from unnest(v_known) i where i not in (select e from unnest(v_ended) e)));
    select v_ended || array_agg(n.id), v_ends || array_agg(n.state) into v_ended, v_ends
    from (
      select a.id, case when b.id is null then 'succeeded' when b.status = 'aborted' then 'cancelled' when b.done_at is not null then b.status end as state
      from unnest(v_asked) a(id) left join (select * from pgqueue.batch b where b.id = any(v_asked)) b on b.id = a.id
      where a.id not in (select k from unnest(v_known) k)) n
    where n.state is not null;
    insert into pgqueue.parent_look (seq, job_id, low, high, parked)
    select nextval('pgqueue.job_id'), e.id, e.low, e.high, true
    from unnest(v_parents, v_states, v_lows, v_highs) e(id, state, low, high)
    where e.state is null and e.id not in (select i from unnest(v_marked) i) and e.id not in (select i from unnest(v_ended) i);
    select array_agg(h.id order by h.ord), array_agg(h.state order by h.ord), array_agg(h.low order by h.ord), array_agg(h.high order by h.ord)
    into v_parents, v_states, v_lows, v_highs
    from (
      select e.id, coalesce(e.state, w.state) as state, e.low, e.high, e.ord
      from unnest(v_parents, v_states, v_lows, v_highs) with ordinality e(id, state, low, high, ord)
      left join unnest(v_ended, v_ends) w(id, state) on w.id = e.id) h
    where h.state is not null;
  end if;
  return cardinality(v_picked) + coalesce(pgqueue._release(v_parents, v_states, v_lows, v_highs, 5000, null, true), 0) + pgqueue._enqueue_late();
end $$;

-- source: sql/functions/private/_duty_expire.sql
-- Upkeep: jobs that waited in vain. A queue timeout counts until a job first starts, and then loses its trait; one that is running, has started before,
-- or is final is left alone and only its deadline row goes.
create function pgqueue._duty_expire() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_job bigint;
  v_was record;
  v_done bigint := 0;
begin
  select * into v_cursor from pgqueue._due_cursor('deadline');
  v_picked := array(
    select d.ctid from pgqueue.deadline d
    where d.expires_at <= v_now and d.expires_at >= v_cursor.floor order by d.expires_at limit 1000 for update skip locked);
  select d.expires_at into v_first from pgqueue.deadline d where d.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('deadline', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  for v_job in
    with due as (delete from pgqueue.deadline d where d.ctid = any(v_picked) returning d.job_id)
    select due.job_id from due order by due.job_id
  loop
    continue when not exists (
      select from pgqueue._in_ready(v_job) w where w.traits & 16 <> 0
      union all select from pgqueue.scheduled w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.arrival w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.blocked w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.suspect w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.line w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.dependent w where w.job_id = v_job and w.traits & 16 <> 0);
    if not pgqueue._try_place(v_job) then
      -- Somebody is at it just now, perhaps for long: the next pass asks again.
      insert into pgqueue.deadline (expires_at, job_id) values (v_now, v_job);
      continue;
    end if;
    select * into v_was from pgqueue._withdraw(v_job);
    perform pgqueue._finish(array[v_job], array['failed'], array['queue_timeout'], array[v_was.attempt], array[v_was.traits], null, null, null,
      pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_was.queue)));
    v_done := v_done + 1;
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_duty_leaving.sql
-- Upkeep: slices of large batches that have been let go come into ready, ten thousand rows of `held` a pass, in the order of their ids; those of one whose parent has failed are
-- aborted, about ten thousand of its rows a pass. Slices of other batches are among them and stay. One that is locked is passed over: when the walk has come to its end it begins
-- anew, until none is left. So is a batch that is to be aborted and is locked.
create function pgqueue._duty_leaving() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
set enable_sort = off
as $$
#variable_conflict use_column
declare
  v_batch record;
  v_jobs bigint[];
  v_rows bigint;
  v_left bigint := 10000;
  v_more boolean;
  v_last bigint;
  v_done bigint := 0;
begin
  for v_batch in
    select l.batch_id as id, l.after, b.queue, b.slice_size, b.reason is not null as dead
    from (select l.batch_id, l.after from pgqueue.batch_leaving l order by l.batch_id limit 100) l
    left join lateral (select b.queue, b.slice_size, b.reason from pgqueue.batch b where b.id = l.batch_id offset 0) b on true
  loop
    exit when v_left <= 0;
    if v_batch.dead then
      perform from pgqueue.batch_count c where c.batch_id = v_batch.id for no key update skip locked;
      continue when not found;
    end if;
    v_jobs := array(select h.job_id from pgqueue.held h where h.job_id > v_batch.after order by h.job_id limit v_left);
    v_more := cardinality(v_jobs) >= v_left;
    v_rows := 0;
    if v_batch.dead then
      -- Its own slices alone have rows to abort; those of others are only passed.
      v_last := (
        select h.job_id from pgqueue.held h where h.job_id between v_jobs[1] and v_jobs[cardinality(v_jobs)] and h.batch_id = v_batch.id
        order by h.job_id offset greatest(10000 / v_batch.slice_size, 1) - 1 limit 1);
      if v_last is not null then
        v_jobs := v_jobs[:array_position(v_jobs, v_last)];
        v_more := true;
      end if;
      v_done := v_done + pgqueue._abort_held(v_batch.id, v_jobs[1], v_jobs[cardinality(v_jobs)]);
    else
      with picked as materialized (
        select h.ctid from pgqueue.held h
        where h.job_id between v_jobs[1] and v_jobs[cardinality(v_jobs)] and h.batch_id = v_batch.id for update skip locked),
      gone as (delete from pgqueue.held h where h.ctid = any(array(select p.ctid from picked p)) returning h.*)
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      select g.job_id, g.job_id, g.traits, g.priority, g.attempt, g.queue from gone g;
      get diagnostics v_rows = row_count;
    end if;
    v_done := v_done + v_rows;
    if v_rows > 0 then
      perform pgqueue._wake(v_batch.queue);
    end if;
    if v_more then
      update pgqueue.batch_leaving l set after = v_jobs[cardinality(v_jobs)] where l.batch_id = v_batch.id;
    elsif exists (select from pgqueue.held h where h.batch_id = v_batch.id) then
      update pgqueue.batch_leaving l set after = l.batch_id where l.batch_id = v_batch.id;
    else
      delete from pgqueue.batch_leaving l where l.batch_id = v_batch.id;
      if v_batch.dead and (select b.done_at from pgqueue.batch b where b.id = v_batch.id) is null then
        perform pgqueue._finish_batch(v_batch.id, 'aborted', true);
      end if;
    end if;
    v_left := v_left - case when v_batch.dead then 10000 else greatest(cardinality(v_jobs), 100) end;
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_duty_metrics.sql
-- Upkeep: counts what has ended into metric, stretch by stretch of finished_at, each once: the mark moves in the transaction that counts. The last five seconds are left for the
-- next pass, so that settles that are about to commit are in. One that commits later than that (a cancel inside a user's long transaction) is in no count: waiting for such a transaction would
-- stop the counts of all, and only a figure is wrong by one. Nor is what ends while a clock that was set back catches up; one set back by more than an hour begins anew.
--
-- A pass counts about 100,000 outcomes, or for a second: a stretch of ten seconds, grown while little is found and shrunk when it holds too many, until the present is reached. It begins when there are
-- ten seconds to count, as every look reads the pages that the index does not know yet.
create function pgqueue._duty_metrics() returns bigint
language plpgsql
as $$
declare
  v_most constant bigint := 100000;
  v_shortest constant interval := interval '1 second';
  v_now timestamptz := pgqueue._now();
  v_late timestamptz := clock_timestamp() + interval '1 second';
  v_end timestamptz := v_now - interval '5 seconds';
  v_mark timestamptz;
  v_until timestamptz;
  v_length interval := interval '10 seconds';
  v_counted bigint;
  v_done bigint := 0;
begin
  select m.counted_until into v_mark from pgqueue.metric_mark m for update;
  if v_mark > v_now + interval '1 hour' then
    v_mark := v_end;
  elsif v_mark + v_length > v_end then
    return 0;
  end if;
  loop
    v_until := least(v_mark + v_length, v_end);
    v_counted := pgqueue._count_outcomes(v_mark, v_until, case when v_until - v_mark > v_shortest then v_most else 9223372036854775806 end);
    if v_counted is null then
      v_length := greatest((v_until - v_mark) / 8, v_shortest);
    else
      v_done := v_done + v_counted;
      v_mark := v_until;
      exit when v_mark >= v_end or v_done >= v_most or clock_timestamp() >= v_late;
      if v_counted < v_most / 8 then
        v_length := least(v_length * 8, interval '30 days');
      end if;
    end if;
  end loop;
  update pgqueue.metric_mark m set counted_until = v_mark;
  delete from pgqueue.metric m
  where m.ctid = any(array(
    select o.ctid from pgqueue.metric o
    where o.minute < v_now - (select c.metric_retention from pgqueue.config c) order by o.minute limit 5000));
  return v_done;
end $$;

-- source: sql/functions/private/_duty_overdue.sql
-- Upkeep: running jobs that broke their own heartbeat promise (lost, as after a crash), and jobs past their timeout by more than `lost_after` (the worker
-- should have ended them; one that does not enforce timeouts, or hangs, must not keep them). Both are taken out of their lease, so whatever
-- the worker says of them later is stale. Jobs that run users' SQL have limits of their own, for each statement, and their servers keep to those.
--
-- All leases are looked through, and of their jobs only those whose traits say that they have a promise or a timeout are looked up, one by one (the offsets keep that
-- from becoming a join with whole blocks).
create function pgqueue._duty_overdue() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_lost_after interval;
  v_late record;
  v_lease pgqueue.lease;
  v_done bigint := 0;
begin
  select c.lost_after into v_lost_after from pgqueue.config c;
  for v_late in
    select h.lease, h.id, h.attempt, h.traits, h.silent
    from (
      select l.id as lease, e.id, e.attempt, coalesce(e.traits, 0) as traits,
        coalesce(coalesce(p.heartbeat_at, l.claimed_at) + j.heartbeat < v_now, false) as silent,
        l.claimed_at + coalesce(j.timeout, q.timeout) + v_lost_after < v_now and coalesce(e.traits, 0) & 128 = 0 as late
      from pgqueue.lease l
      left join pgqueue.queue q on q.name = l.queue
      cross join unnest(l.job_ids, l.attempts, l.traits) e(id, attempt, traits)
      left join lateral (select j.timeout, j.heartbeat from pgqueue.job j where e.traits & 12 <> 0 and j.id = e.id offset 0) j on true
      left join lateral (
        select p.heartbeat_at from pgqueue.progress p where e.traits & 8 <> 0 and p.job_id = e.id and p.lease_id = l.id offset 0) p on true
      where l.traits is not null or q.timeout is not null) h
    where h.silent or h.late
    order by h.lease, h.id limit 1000
  loop
    -- Its batch is locked without waiting: this late in a pass there may be something in hand that others wait for.
    continue when v_late.traits & 512 <> 0 and cardinality(pgqueue._try_batches(array[v_late.lease])) = 0;
    select * into v_lease from pgqueue.lease l where l.id = v_late.lease for update skip locked;
    continue when not found or v_late.id <> all(v_lease.job_ids);
    perform pgqueue._unlease(v_lease, array[v_late.id]);
    if v_late.silent then
      perform pgqueue._rescue_jobs(v_lease, array[v_late.id], array[v_late.attempt], array[v_late.traits], 0::smallint);
    else
      perform pgqueue._settle_unsuccessful(v_lease, array[v_late.id], array['timeout'], array[v_late.attempt], array[v_late.traits],
        array[jsonb_build_object('type', 'Timeout', 'message', 'the job ran past its timeout and its worker did not end it')], array[null::interval]);
    end if;
    v_done := v_done + 1;
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_duty_promote.sql
-- Upkeep: scheduled jobs whose time has come. A job that was scheduled late for an earlier time is found by the cursor's sweep.
create function pgqueue._duty_promote() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_jobs bigint[];
  v_queues text[];
  v_priorities smallint[];
  v_attempts smallint[];
  v_traits integer[];
  v_due bigint;
  v_stays integer[] := array[]::integer[];
  v_at integer;
  v_key text;
begin
  select * into v_cursor from pgqueue._due_cursor('due');
  v_picked := array(
    select s.ctid from pgqueue.scheduled s
    where s.run_at <= v_now and s.run_at >= v_cursor.floor order by s.run_at limit 5000 for update skip locked);
  select s.run_at into v_first from pgqueue.scheduled s where s.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('due', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  with due as (
    delete from pgqueue.scheduled s where s.ctid = any(v_picked)
    returning s.run_at, s.job_id, s.queue, s.priority, s.attempt, s.traits)
  select array_agg(d.job_id), array_agg(d.queue), array_agg(d.priority), array_agg(d.attempt), array_agg(d.traits)
  into v_jobs, v_queues, v_priorities, v_attempts, v_traits
  from (select * from due order by run_at, job_id) d;

  v_due := coalesce(cardinality(v_jobs), 0);
  -- Those with a unique key may be here because it was uncertain who holds it.
  for v_at in select e.ord from unnest(v_traits) with ordinality e(traits, ord) where e.traits & 2049 <> 0 order by e.ord loop
    v_key := pgqueue._retake_key(v_jobs[v_at]);
    continue when v_key is null;
    if v_key = 'uncertain' then
      perform pgqueue._schedule(v_jobs[v_at:v_at], v_queues[v_at:v_at], v_priorities[v_at:v_at], v_attempts[v_at:v_at], v_traits[v_at:v_at],
        array[v_now + interval '1 second']);
    else
      perform pgqueue._finish(v_jobs[v_at:v_at], array['cancelled'], array[v_key], v_attempts[v_at:v_at], v_traits[v_at:v_at], null, null, null,
        pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_queues[v_at])));
    end if;
    v_stays := v_stays || v_at;
  end loop;
  if cardinality(v_stays) > 0 then
    select array_agg(e.id order by e.ord), array_agg(e.queue order by e.ord), array_agg(e.priority order by e.ord), array_agg(e.attempt order by e.ord),
      array_agg(e.traits order by e.ord)
    into v_jobs, v_queues, v_priorities, v_attempts, v_traits
    from unnest(v_jobs, v_queues, v_priorities, v_attempts, v_traits) with ordinality e(id, queue, priority, attempt, traits, ord)
    where e.ord not in (select s from unnest(v_stays) s);
  end if;
  perform pgqueue._enter(v_jobs, v_queues, v_priorities, v_attempts, v_traits, false);
  return v_due;
end $$;

-- source: sql/functions/private/_duty_rates.sql
-- Upkeep: rates that have room again. Groups that waited for it are looked at again by the next claim, and who sleeps on a queue is woken when it has room and jobs: a claim that found the rate used up was told
-- that there is nothing. Owners are woken here too, for the queue may have no rates any more, and then no claim asks whether they sleep.
create function pgqueue._duty_rates() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_queue text;
  v_queues text[];
  v_of text[];
  v_groups text[];
  v_owners record;
begin
  select * into v_cursor from pgqueue._due_cursor('group_wait');
  v_picked := array(
    select w.ctid from pgqueue.group_wait w
    where w.at <= v_now and w.at >= v_cursor.floor order by w.at limit 5000 for update skip locked);
  select w.at into v_first from pgqueue.group_wait w where w.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('group_wait', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  with due as (
    delete from pgqueue.group_wait w where w.ctid = any(v_picked) returning w.queue, w.group_key),
  asked as (
    insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), 0, 0, 0, d.queue, d.group_key from (select distinct d.queue, d.group_key from due d) d)
  select array_agg(distinct d.queue), array_agg(d.queue), array_agg(d.group_key) into v_queues, v_of, v_groups from due d;
  for v_owners in
    select e.queue, array_agg(distinct e.group_key) as owners from unnest(v_of, v_groups) e(queue, group_key) group by e.queue order by e.queue
  loop
    perform pgqueue._wake_owners(v_owners.queue, v_owners.owners, v_now);
  end loop;

  for v_queue in select q.name from pgqueue.queue q where q.rate_limit is not null and q.paused_at is null order by q.name loop
    if pgqueue._rate_room(v_queue) > 0 and pgqueue._waits(v_queue) then
      v_queues := v_queues || v_queue;
    end if;
  end loop;
  perform pgqueue._wake(q) from unnest(v_queues) q;
  return cardinality(v_picked);
end $$;

-- source: sql/functions/private/_duty_rescue.sql
-- Upkeep: workers whose heartbeat ran out, and leases whose worker is gone. The batches of all of them are locked before anything else of the pass is; where somebody keeps one for
-- long, only the leases that carry its rows wait for another pass, and so do those that came meanwhile.
create function pgqueue._duty_rescue() returns bigint
language plpgsql
as $$
declare
  v_worker bigint;
  v_slices bigint[];
  v_done bigint := 0;
begin
  v_slices := array(
    select l.id from pgqueue.lease l
    where l.traits is not null and l.worker_id <> 0
      and not coalesce((select w.heartbeat_at from pgqueue.worker w where w.id = l.worker_id) >= pgqueue._now() - (select c.lost_after from pgqueue.config c), false));
  if cardinality(v_slices) > 0 then
    begin
      perform pgqueue._lock_batches(v_slices);
    exception
      when lock_not_available or deadlock_detected then v_slices := pgqueue._try_batches(v_slices);
    end;
  end if;
  for v_worker in
    select w.id from pgqueue.worker w
    where w.heartbeat_at < pgqueue._now() - (select c.lost_after from pgqueue.config c)
    order by w.id limit 100 for update skip locked
  loop
    v_done := v_done + pgqueue._lose_worker(v_worker, v_slices);
  end loop;
  for v_worker in
    select distinct l.worker_id from pgqueue.lease l
    where l.worker_id <> 0 and not exists (select from pgqueue.worker w where w.id = l.worker_id) order by 1 limit 100
  loop
    v_done := v_done + pgqueue._lose_worker(v_worker, v_slices);
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_duty_results.sql
-- Upkeep: results of queries, scripts, and the audit trail, when they have expired. Bounded; chunks are what is large, so of those few at a time.
create function pgqueue._duty_results() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_job bigint;
  v_jobs bigint[];
  v_rows bigint;
  v_done bigint := 0;
begin
  for v_job in
    select r.job_id from pgqueue.query_run r where r.kept and r.expires_at <= v_now order by r.expires_at limit 1000 for update skip locked
  loop
    delete from pgqueue.query_chunk c
    where c.ctid = any(array(select c.ctid from pgqueue.query_chunk c where c.job_id = v_job order by c.job_id, c.run, c.n limit 2000 - v_done));
    get diagnostics v_rows = row_count;
    v_done := v_done + v_rows;
    exit when v_done >= 2000;
    update pgqueue.query_run r set kept = false where r.job_id = v_job;
  end loop;

  for v_job in
    select b.id from pgqueue.batch b where b.expires_at <= v_now order by b.expires_at limit 20 for update skip locked
  loop
    v_done := v_done + pgqueue._forget_batch(v_job)::integer;
  end loop;

  v_jobs := array(
    select s.job_id from pgqueue.script s where s.expires_at <= v_now order by s.expires_at limit 1000 for update skip locked);
  if cardinality(v_jobs) > 0 then
    delete from pgqueue.script_query q where q.job_id = any(v_jobs);
    delete from pgqueue.script s where s.job_id = any(v_jobs);
  end if;
  v_done := v_done + cardinality(v_jobs);

  v_jobs := array(
    select r.job_id from pgqueue.query_run r where r.forget_at <= v_now order by r.forget_at limit 1000 for update skip locked);
  if cardinality(v_jobs) > 0 then
    delete from pgqueue.query_caller c where c.job_id = any(v_jobs);
    delete from pgqueue.query_chunk c where c.job_id = any(v_jobs);
    delete from pgqueue.query q where q.job_id = any(v_jobs);
    delete from pgqueue.query_run r where r.job_id = any(v_jobs);
  end if;
  return v_done + cardinality(v_jobs) + pgqueue._keyed_tidy(v_now);
end $$;

-- source: sql/functions/private/_duty_retention.sql
-- Upkeep: history past its retention goes. A block whose every job is final and past retention is dropped whole. One that stragglers keep alive for long
-- (live jobs, queues with a longer retention) is thinned by deleting what is past; one that will be past as a whole before long is waited for, as
-- dropping costs nothing and deleting does. One block a pass: looking through a full block takes a while. It is looked through job by job, which ends at the
-- thousandth that keeps it; a join of jobs with outcomes reads both whole first.
create function pgqueue._duty_retention() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_last bigint;
  v_block pgqueue.block;
  v_retention interval;
  v_own boolean;
  v_table text;
  v_kept record;
  v_done bigint := 0;
begin
  select s.last_value into v_last from pgqueue.job_id s;
  select * into v_block from pgqueue.block b
  where b.high <= v_last and b.look_again_at <= v_now order by b.look_again_at, b.low limit 1 for update skip locked;
  if not found then
    return pgqueue._thin(null, null);
  end if;
  select c.retention, exists (select from pgqueue.queue q where q.retention is not null) into v_retention, v_own from pgqueue.config c;
  select count(*) as rows, bool_or(k.until is null) as live, max(k.until) as until into v_kept
  from (
    select o.until
    from (select j.id, j.queue from pgqueue.job j where j.id >= v_block.low and j.id < v_block.high order by j.id) j
    left join lateral (
      select o.finished_at + coalesce(case when v_own then (select q.retention from pgqueue.queue q where q.name = j.queue) end, v_retention) as until
      from pgqueue.outcome o where o.job_id = j.id and o.job_id >= v_block.low and o.job_id < v_block.high offset 0) o on true
    where o.until is null or o.until > v_now
    limit 1000) k;
  if v_kept.rows > 0 then
    if v_kept.live or v_kept.until > v_now + (select c.block_age from pgqueue.config c) then
      v_done := pgqueue._thin(v_block.low, v_block.high);
    end if;
    update pgqueue.block b
    set look_again_at = case
      when v_done >= 10000 then v_now
      else v_now + least(interval '1 hour', greatest(coalesce(v_kept.until - v_now, interval '1 hour'), interval '1 second')) end
    where b.low = v_block.low;
    return v_done;
  end if;
  -- Dropping locks the parents for a moment, and a user's open transaction may hold them for long: a short wait, else another time.
  begin
    set local lock_timeout = '100ms';
    lock table only pgqueue.job, only pgqueue.outcome, only pgqueue.attempt_error, only pgqueue.job_log, only pgqueue.job_event in access exclusive mode;
    -- A transaction that drew its ids long ago may have committed since the look.
    if not pgqueue._any_live(v_block.low, v_block.high) then
      foreach v_table in array array['job', 'outcome', 'attempt_error', 'job_log', 'job_event'] loop
        execute format('drop table pgqueue.%I', v_table || '_' || v_block.low);
      end loop;
      delete from pgqueue.block b where b.low = v_block.low;
      v_done := 1;
    end if;
  exception
    when lock_not_available then
      update pgqueue.block b set look_again_at = v_now + interval '10 seconds' where b.low = v_block.low;
  end;
  return v_done;
end $$;

-- source: sql/functions/private/_duty_schedules.sql
-- Upkeep: schedules that are due. The row's lock and the move of its next tick make it one job a tick; a row that another pass, or an operator, has in hand is left
-- to the next pass. A schedule that fails keeps its tick, shows its error and is looked at again a little later; the others go on. So does one whose
-- unique key another transaction is just enqueueing: it is waited for only briefly.
create function pgqueue._duty_schedules() returns bigint
language plpgsql
set lock_timeout = '200ms'
as $$
declare
  c_again constant interval := interval '15 seconds';
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_first timestamptz;
  v_schedule pgqueue.schedule;
  v_error text;
  v_done bigint := 0;
begin
  select * into v_cursor from pgqueue._due_cursor('schedules');
  for v_schedule in
    select s.* from pgqueue.schedule s
    where s.due_at <= v_now and s.due_at >= v_cursor.floor order by s.due_at limit 500 for update skip locked
  loop
    v_first := coalesce(v_first, v_schedule.due_at);
    begin
      v_done := v_done + pgqueue._run_due(v_schedule);
    exception
      when others then
        get stacked diagnostics v_error = message_text;
        update pgqueue.schedule s set due_at = v_now + c_again, last_error = format('%s (%s)', v_error, sqlstate) where s.name = v_schedule.name;
    end;
  end loop;
  perform pgqueue._set_due_cursor('schedules', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  return v_done;
end $$;

-- source: sql/functions/private/_duty_tidy.sql
-- Upkeep: what nobody needs any more. Doubled lanes, waiters that gave up, unique keys whose time is over, progress and cancel requests of jobs that are not running. Each by a bounded number
-- of rows a pass: waiters by their time, the others a slice after the one of the last pass (see _next_slice).
create function pgqueue._duty_tidy() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_jobs bigint[];
  v_rows bigint;
  v_done bigint := 0;
begin
  delete from pgqueue.lane l
  where l.ctid = any(array(
    select o.ctid
    from (select o.ctid, row_number() over (partition by o.queue, o.priority order by o.grouped desc, o.ctid) as nth from pgqueue.lane o) o
    where o.nth > 1));
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  select * into v_cursor from pgqueue._due_cursor('waiter');
  v_picked := array(
    select w.ctid from pgqueue.waiter w
    where w.expires_at < v_now and w.expires_at >= v_cursor.floor order by w.expires_at limit 5000 for update skip locked);
  select w.expires_at into v_first from pgqueue.waiter w where w.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('waiter', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  delete from pgqueue.waiter w where w.ctid = any(v_picked);
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  -- Not at once: an enqueue that waits for another goes by the time at which it was called, and would find no trace of a period that had not passed then.
  select * into v_cursor from pgqueue._due_cursor('unique_key');
  v_picked := array(
    select k.ctid from pgqueue.job_key k
    where k.until < v_now - interval '1 minute' and k.until >= v_cursor.floor order by k.until limit 5000 for update skip locked);
  select k.until into v_first from pgqueue.job_key k where k.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('unique_key', v_first, v_now - interval '1 minute', v_cursor.sweep_started, v_cursor.expires);
  delete from pgqueue.job_key k where k.ctid = any(v_picked);
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  -- Keys that were left behind. Locked first and looked at afterwards, as in _seize_key.
  v_jobs := array(select l.job_id from pgqueue.left_key l where l.job_id > pgqueue._slice('left_key') order by l.job_id limit 500);
  perform pgqueue._next_slice('left_key', v_jobs, 500);
  v_picked := array(
    select k.ctid from unnest(v_jobs) j cross join lateral (select k.ctid from pgqueue.job_key k where k.job_id = j order by k.job_id for update skip locked) k);
  delete from pgqueue.job_key k
  where k.ctid = any(v_picked) and (select l.job_id from pgqueue.left_key l where l.job_id = k.job_id) is not null;
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;
  delete from pgqueue.left_key l
  where l.job_id = any(v_jobs) and (select k.job_id from pgqueue.job_key k where k.job_id = l.job_id) is null;

  v_jobs := array(
    select c.job_id from pgqueue.cancel_request c where c.job_id > pgqueue._slice('cancel_request') order by c.job_id limit 5000);
  perform pgqueue._next_slice('cancel_request', v_jobs, 5000);
  delete from pgqueue.cancel_request c
  where c.job_id = any(v_jobs) and c.requested_at < v_now - interval '1 minute'
    and ((select o.job_id from pgqueue.outcome o where o.job_id = c.job_id) is not null
      or (select j.id from pgqueue.job j where j.id = c.job_id) is null);
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  v_jobs := array(
    select p.job_id from pgqueue.progress p where p.job_id > pgqueue._slice('progress') order by p.job_id limit 5000);
  perform pgqueue._next_slice('progress', v_jobs, 5000);
  delete from pgqueue.progress p
  where p.job_id = any(v_jobs) and p.heartbeat_at < v_now - interval '1 hour'
    and ((select o.job_id from pgqueue.outcome o where o.job_id = p.job_id) is not null
      or (select j.id from pgqueue.job j where j.id = p.job_id) is null);
  get diagnostics v_rows = row_count;
  return v_done + v_rows + pgqueue._tidy_flow();
end $$;

-- source: sql/functions/private/_elements.sql
-- The elements of a JSON array that is an option of a job; none of null.
create function pgqueue._elements(name text, list jsonb) returns setof jsonb
language plpgsql immutable
as $$
begin
  if jsonb_typeof(list) not in ('array', 'null') then
    perform pgqueue._refuse('PQ001', format('%s is %s, not an array', name, jsonb_typeof(list)), format('Give %s as an array.', name));
  end if;
  return query select e.value from jsonb_array_elements(case when jsonb_typeof(list) = 'array' then list else '[]' end) with ordinality e(value, ord) order by e.ord;
end $$;

-- source: sql/functions/private/_enqueue_follow_up.sql
-- Enqueues one follow-up, or notes why not. An open transaction that holds its unique key is not waited for: upkeep tries again. A batch
-- has no attempts to note it with, and the block of its id may be gone.
create function pgqueue._enqueue_follow_up(parent bigint, follow_up jsonb) returns boolean
language plpgsql
set lock_timeout = '10ms'
as $$
declare
  v_problem text;
  v_code text;
begin
  perform pgqueue._store_jobs(array[pgqueue._new_job(follow_up, pgqueue._now())], pgqueue._now());
  return true;
exception
  when lock_not_available then
    insert into pgqueue.late_follow_up (seq, job_id, made_at, follow_up) values (nextval('pgqueue.job_id'), parent, pgqueue._now(), _enqueue_follow_up.follow_up);
    return false;
  when others then
    get stacked diagnostics v_problem = message_text, v_code = returned_sqlstate;
    insert into pgqueue.late_follow_up (seq, job_id, made_at, follow_up, error)
    values (nextval('pgqueue.job_id'), parent, pgqueue._now(), _enqueue_follow_up.follow_up, format('%s (%s)', v_problem, v_code));
    insert into pgqueue.attempt_error (job_id, failed_at, attempt, reason, error)
    select parent, pgqueue._now(), 0, 'follow_up', jsonb_build_object('type', 'FollowUp', 'message', format('%s (%s)', v_problem, v_code), 'follow_up', follow_up)
    where exists (select from pgqueue.job j where j.id = parent);
    return true;
end $$;

-- source: sql/functions/private/_enqueue_late.sql
-- Upkeep: follow-ups that met an open transaction are tried again, a hundred a pass and no more after a few that meet one again.
create function pgqueue._enqueue_late() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_late record;
  v_done bigint := 0;
  v_missed integer := 0;
begin
  for v_late in
    select l.* from (
      select l.* from pgqueue.late_follow_up l where l.seq > pgqueue._slice('late_follow_up') and l.error is null order by l.seq limit 100 for update skip locked) l
    order by l.seq
  loop
    perform set_config('pgqueue.slice_late_follow_up', v_late.seq::text, false);
    delete from pgqueue.late_follow_up l where l.seq = v_late.seq;
    if pgqueue._enqueue_follow_up(v_late.job_id, v_late.follow_up) then
      v_done := v_done + 1;
    else
      v_missed := v_missed + 1;
    end if;
    exit when v_missed >= 5;
  end loop;
  if v_late is null then
    perform set_config('pgqueue.slice_late_follow_up', '0', false);
  end if;
  return v_done;
end $$;

-- source: sql/functions/private/_enqueue_tick.sql
-- Enqueues the job of one tick, or hands in its query or script. Its headers say of which, in UTC whatever the session's time zone is.
create function pgqueue._enqueue_tick(schedule pgqueue.schedule, tick timestamptz) returns bigint
language plpgsql
as $$
begin
  if schedule.kind in ('sql.query', 'sql.script') then
    return pgqueue._submit_tick(schedule);
  end if;
  return (
    select e.id
    from pgqueue.enqueue(
      kind => schedule.kind,
      args => schedule.args,
      queue => schedule.queue,
      priority => schedule.priority,
      unique_key => schedule.unique_key,
      group_key => schedule.group_key,
      max_attempts => schedule.max_attempts,
      timeout => schedule.timeout,
      expires_in => schedule.expires_in,
      heartbeat => schedule.heartbeat,
      backoff => schedule.backoff,
      headers => coalesce(schedule.headers, '{}') || jsonb_build_object('schedule', schedule.name, 'tick',
        (to_jsonb(tick at time zone 'UTC') #>> '{}') || '+00:00'),
      unique_by => schedule.unique_by,
      unique_until => schedule.unique_until,
      unique_for => schedule.unique_for,
      on_duplicate => schedule.on_duplicate,
      on_success => schedule.on_success,
      on_error => schedule.on_error) e);
end $$;

-- source: sql/functions/private/_enter.sql
-- Puts jobs where a claim finds them: jobs with a group and no slot into the inbox of their group, suspects alone, the rest into ready, each
-- with a new turn. The arrays are parallel. `admitted`: those with a group hold their slot already; those whose owners take turns had one, and stand in
-- line again, crashed or not: what crashes there is seldom the worker's end, and its owner's next must not overtake it.
create function pgqueue._enter(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[],
  admitted boolean) returns void
language plpgsql
as $$
declare
  v_suspects boolean;
  v_grouped boolean;
  v_lined boolean;
  v_queue text;
begin
  if coalesce(cardinality(jobs), 0) = 0 then
    return;
  end if;
  if 0 <> any(select t & 32768 from unnest(_enter.traits) t) then
    perform pgqueue._enter_kept(jobs, queues, priorities, attempts, _enter.traits, admitted);
    return;
  end if;
  select bool_or(t & 160 = 32), bool_or(t & 2 <> 0 and not admitted), bool_or(t & 128 <> 0 and admitted) into v_suspects, v_grouped, v_lined
  from unnest(_enter.traits) t;

  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
  select nextval('pgqueue.job_id'), e.id, e.traits, e.priority, e.attempt, e.queue
  from unnest(jobs, queues, priorities, attempts, _enter.traits) e(id, queue, priority, attempt, traits)
  where e.traits & 160 = 0 and (e.traits & 2 = 0 or admitted);
  if v_suspects then
    insert into pgqueue.suspect (seq, job_id, traits, priority, attempt, crashes, queue)
    select nextval('pgqueue.job_id'), e.id, e.traits, e.priority, e.attempt,
      coalesce((select c.crashes from pgqueue.crash c where c.job_id = e.id), 1), e.queue
    from unnest(jobs, queues, priorities, attempts, _enter.traits) e(id, queue, priority, attempt, traits)
    where e.traits & 160 = 32 and (e.traits & 2 = 0 or admitted);
  end if;
  if v_lined then
    perform pgqueue._stand_in_line(jobs, queues, priorities, attempts, _enter.traits);
  end if;
  if v_grouped then
    insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), e.id, e.traits, e.priority, e.attempt, e.queue, (select j.group_key from pgqueue.job j where j.id = e.id)
    from unnest(jobs, queues, priorities, attempts, _enter.traits) e(id, queue, priority, attempt, traits)
    where e.traits & 2 <> 0;
  end if;

  if 0 <> any(select t & 1024 from unnest(_enter.traits) t) then
    perform pgqueue._keyed_waits(jobs, priorities);
  end if;

  perform pgqueue._open_lane(l.queue, l.priority, l.grouped)
  from (
    select e.queue, e.priority, bool_or(e.traits & 2 <> 0) as grouped
    from unnest(queues, priorities, _enter.traits) e(queue, priority, traits) group by 1, 2) l;
  for v_queue in select distinct q from unnest(queues) q loop
    perform pgqueue._wake(v_queue);
  end loop;
end $$;

-- source: sql/functions/private/_enter_kept.sql
-- _enter for jobs among which some have waited and kept their slot (trait 32768): they hold it as they come back, if nobody has taken it from them. Where starts are counted theirs has to be admitted like any other,
-- so they stand among the blocked, and their group is looked at: see _admit_groups.
create function pgqueue._enter_kept(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[],
  admitted boolean) returns void
language plpgsql
as $$
declare
  v_kept bigint[];
  v_counted bigint[];
  v_part record;
begin
  with kept as (
    update pgqueue.slot s set state = case when (select q.counted from pgqueue.queue q where q.name = s.queue) then 4 else 0 end
    where s.job_id = any(array(select e.id from unnest(jobs, _enter_kept.traits) e(id, traits) where e.traits & 32768 <> 0))
    returning s.job_id, s.state, s.queue, s.group_key),
  blocked as (
    insert into pgqueue.blocked (seq, job_id, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), e.id, e.traits & ~(32768 | 16384), e.priority, e.attempt, e.queue, (select k.group_key from kept k where k.job_id = e.id)
    from unnest(jobs, priorities, attempts, queues, _enter_kept.traits) e(id, priority, attempt, queue, traits)
    where e.id = any(array(select k.job_id from kept k where k.state = 4))),
  asked as (
    insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), 0, 0, 0, k.queue, k.group_key from kept k where k.state = 4)
  select coalesce(array_agg(k.job_id) filter (where k.state = 0), '{}'), coalesce(array_agg(k.job_id) filter (where k.state = 4), '{}') into v_kept, v_counted from kept k;

  for v_part in
    select p.held, array_agg(p.id order by p.ord) as jobs, array_agg(p.queue order by p.ord) as queues, array_agg(p.priority order by p.ord) as priorities,
      array_agg(p.attempt order by p.ord) as attempts, array_agg(p.traits order by p.ord) as traits
    from (
      select e.id, e.queue, e.priority, e.attempt, e.traits & ~32768 as traits, e.ord, case when e.traits & 32768 <> 0 then e.id = any(v_kept) else admitted end as held
      from unnest(jobs, queues, priorities, attempts, _enter_kept.traits) with ordinality e(id, queue, priority, attempt, traits, ord)
      where e.id <> all(v_counted)) p
    group by p.held
  loop
    perform pgqueue._enter(v_part.jobs, v_part.queues, v_part.priorities, v_part.attempts, v_part.traits, v_part.held);
  end loop;
  perform pgqueue._open_lane(l.queue, l.priority, true), pgqueue._wake(l.queue)
  from (select distinct e.queue, e.priority from unnest(jobs, queues, priorities) e(id, queue, priority) where e.id = any(v_counted)) l;
end $$;

-- source: sql/functions/private/_error_text.sql
-- An error document of an attempt in one line.
create function pgqueue._error_text(error jsonb) returns text
language sql immutable
return nullif(left(concat_ws(': ', error ->> 'type', split_part(error ->> 'message', E'\n', 1)), 300), '');

-- source: sql/functions/private/_event_text.sql
-- What an event of a job's history says to people: its data in one line.
create function pgqueue._event_text(data jsonb) returns text
language sql immutable
return (
  select string_agg(case e.key when 'why' then '' else e.key || ' ' end || left(e.value, 200), ', ' order by e.key)
  from jsonb_each_text(case when jsonb_typeof(data) = 'object' then data else '{}' end) e where e.value is not null);

-- source: sql/functions/private/_expiry_of.sql
-- When it expires, in seconds since the epoch. Inlined: keep it one expression.
create function pgqueue._expiry_of(cursor text, owner text) returns float8
language sql immutable
return case when starts_with(cursor, owner) then split_part(cursor, E'\x1f', 5)::float8 else 0 end;

-- source: sql/functions/private/_finish.sql
-- The final transition: every job that ends, ends here, whether settled, cancelled, expired or lost. Writes the outcomes and lets go of what
-- the jobs held; takes them from nowhere, that is the caller's part. The arrays are parallel; `states` null means all succeeded,
-- `traits` null means none has any. `forget`: 0 keep every outcome, 1 only unsuccessful ones, 2 none (the job row goes instead).
create function pgqueue._finish(
  jobs bigint[],
  states text[],
  reasons text[],
  attempts smallint[],
  traits integer[],
  results jsonb[],
  worker bigint,
  claimed_at timestamptz,
  forget smallint) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_traits integer;
  v_low bigint;
  v_high bigint;
begin
  if traits is not null and 0 <> any(select t & 512 from unnest(traits) t) then
    -- Before the rows of jobs without history go; and what slices bring is kept by row, not twice.
    perform pgqueue._slices_ended(jobs, states, reasons, results, worker);
    results := array(select case when e.traits & 512 = 0 then e.result end from unnest(_finish.traits, _finish.results) e(traits, result));
  end if;
  if traits is not null and 0 <> any(select t & 1024 from unnest(traits) t) then
    -- So is the result of a keyed item: text, with a life of its own.
    perform pgqueue._keyed_ended(jobs, states, reasons, traits, results);
    if results is not null then
      results := array(select case when e.traits & 1024 = 0 then e.result end from unnest(_finish.traits, _finish.results) e(traits, result));
    end if;
  end if;
  if traits is not null and 0 <> any(select t & 8192 from unnest(traits) t) then
    perform pgqueue._follow_up(jobs, states, reasons, traits, results);
  end if;
  if states is null then
    if forget = 0 then
      insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt, result)
      select e.id, v_now, _finish.claimed_at, _finish.worker, 'succeeded', e.attempt, e.result
      from unnest(jobs, attempts, results) e(id, attempt, result);
    end if;
  else
    insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt, reason, result)
    select e.id, v_now, _finish.claimed_at, _finish.worker, e.state::pgqueue.final_state, e.attempt, e.reason, e.result
    from unnest(jobs, states, reasons, attempts, results) e(id, state, reason, attempt, result)
    where forget = 0 or (forget = 1 and e.state <> 'succeeded');
    if 'failed' = any(states) then
      perform pgqueue._dead_letters(jobs, states, reasons, attempts, traits);
    end if;
  end if;
  if forget > 0 then
    select min(e.id), max(e.id) into v_low, v_high from unnest(jobs) e(id);
    perform pgqueue._forget_traces(case
      when forget = 2 or states is null then jobs
      else array(select e.id from unnest(jobs, states) e(id, state) where e.state = 'succeeded') end, v_low, v_high);
    delete from pgqueue.job j
    where j.id between v_low and v_high and j.id = any(case
      when forget = 2 or states is null then jobs
      else array(select e.id from unnest(jobs, states) e(id, state) where e.state = 'succeeded') end);
  end if;

  if traits is not null then
    select bit_or(t) into v_traits from unnest(traits) t;
    if v_traits & 2049 <> 0 then
      perform pgqueue._free_keys(jobs);
    end if;
    if v_traits & 32 <> 0 then
      delete from pgqueue.crash c where c.job_id = any(jobs);
    end if;
    if v_traits & 64 <> 0 then
      delete from pgqueue.changed_priority p where p.job_id = any(jobs);
    end if;
    if v_traits & 2 <> 0 then
      perform pgqueue._free_slots(case when 'failed' = any(states) then pgqueue._not_blocking(jobs, states) else jobs end);
    end if;
    if v_traits & 128 <> 0 then
      perform pgqueue._sql_jobs_ended(jobs, states, reasons, traits);
    end if;
    if v_traits & 4096 <> 0 then
      perform pgqueue._parents_ended(jobs, states, traits);
    end if;
  end if;
  perform pgqueue._announce(jobs);
end $$;

-- source: sql/functions/private/_finish_batch.sql
-- The end of a batch, once: its status, when it may be forgotten, and the job that calls its completion back, which is in the queue when this commits, as what
-- follows it is. `by_gate`: the end of another job ends it, on its way through those that wait; then upkeep tells those that wait for this one, so that no chain of batches goes deep here.
create function pgqueue._finish_batch(batch bigint, status text, by_gate boolean default false) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_batch pgqueue.batch;
  v_job bigint := nextval('pgqueue.job_id');
begin
  update pgqueue.batch b
  set status = _finish_batch.status, done_at = v_now, done_job = v_job,
    expires_at = v_now + coalesce((select q.retention from pgqueue.queue q where q.name = b.queue), (select c.retention from pgqueue.config c))
  where b.id = batch returning b.* into v_batch;
  insert into pgqueue.job (id, created_at, priority, max_attempts, queue, kind, args)
  values (v_job, v_now, v_batch.priority, 10, v_batch.queue, 'rows.done', jsonb_build_object('batch', v_batch.id, 'kind', v_batch.kind, 'app', v_batch.app, 'op', v_batch.op));
  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue) values (v_job, v_job, 0, v_batch.priority, 0, v_batch.queue);
  perform pgqueue._open_lane(v_batch.queue, v_batch.priority, false);
  perform pgqueue._wake(v_batch.queue);
  perform pgqueue._announce(array[v_batch.id]);
  perform pgqueue._follow_batch(v_batch);
  if exists (select from pgqueue.dependency d where d.parent_id = batch) then
    status := case status when 'aborted' then 'cancelled' else status end;
    if by_gate then
      insert into pgqueue.parent_look (seq, job_id, state, low, high, parked)
      values (nextval('pgqueue.job_id'), batch, status::pgqueue.final_state, 0, 9223372036854775807, false);
    else
      perform pgqueue._release(array[batch], array[status], array[0::bigint], array[9223372036854775807], 1000, 1000, false);
    end if;
  end if;
end $$;

-- source: sql/functions/private/_first_word.sql
-- The first word of a statement in lower case, after blanks, comments and parentheses.
create function pgqueue._first_word(sql text) returns text
language sql immutable
as $$
  select lower(substring(string_agg(case p.kind when 'code' then p.part when 'end' then '' else ' ' end, '' order by p.nth) from '[A-Za-z]+'))
  from (select * from pgqueue._sql_parts($1)) s cross join lateral unnest(s.kinds, s.parts) with ordinality p(kind, part, nth)
  where p.kind in ('code', 'line', 'comment', 'end');
$$;

-- source: sql/functions/private/_floor_of.sql
-- The turn that the text of a cursor says to start from, if it is its owner's. Inlined: keep it one expression.
create function pgqueue._floor_of(cursor text, owner text) returns bigint
language sql immutable
return case when starts_with(cursor, owner) then split_part(cursor, E'\x1f', 4)::bigint else 0 end;

-- source: sql/functions/private/_flow_traits.sql
-- What a job that is to run again has to know of others: 4096 some wait for its end, 8192 it has follow-ups.
create function pgqueue._flow_traits(job bigint) returns integer
language sql
as $$
  select case when exists (select from pgqueue.dependency d where d.parent_id = $1) then 4096 else 0 end
    + case when exists (select from pgqueue.follow_up f where f.job_id = $1) then 8192 else 0 end;
$$;

-- source: sql/functions/private/_follow_batch.sql
-- What follows a batch that has ended, as _follow_up does it for jobs. A batch ends once, and then its follow-ups are no longer needed.
create function pgqueue._follow_batch(batch pgqueue.batch) returns void
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_state text := case (batch).status when 'aborted' then 'cancelled' else (batch).status end;
  v_result record;
  v_value jsonb;
  v_next jsonb;
begin
  if not exists (select from pgqueue.follow_up f where f.job_id = (batch).id) then
    return;
  end if;
  select * into v_result from pgqueue._batch_result((batch).id);
  v_value := case v_state when 'succeeded' then coalesce(v_result.result, 'null')
    else jsonb_build_object('state', v_state, 'reason', v_result.reason, 'error', v_result.error) end;
  for v_next in
    select n.value from pgqueue.follow_up f cross join lateral jsonb_array_elements(f.jobs) with ordinality n(value, nth)
    where f.job_id = (batch).id and f.outcome = case v_state when 'succeeded' then 'success' else 'error' end order by n.nth
  loop
    perform pgqueue._enqueue_follow_up((batch).id, pgqueue._follow_up_job(v_next, (batch).id, 'batch', v_state, v_value));
  end loop;
  delete from pgqueue.follow_up f where f.job_id = (batch).id;
end $$;

-- source: sql/functions/private/_follow_up.sql
-- The part of the final transition that belongs to jobs with follow-ups, which are enqueued here and so exactly once. None can keep its parent from ending: what goes wrong with it is
-- written to the parent's attempts and to late_follow_up, and one that meets an open transaction over its unique key is left to upkeep. `states` null means all succeeded.
create function pgqueue._follow_up(jobs bigint[], states text[], reasons text[], traits integer[], results jsonb[]) returns void
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
set jit = off
as $$
#variable_conflict use_column
declare
  v_job record;
  v_value jsonb;
  v_next jsonb;
begin
  for v_job in
    select e.id, e.state, e.reason, e.result, e.attempt_error, f.jobs, j.kind
    from (
      select e.id, coalesce(e.state, 'succeeded') as state, e.reason, e.result, (
        select a.error from pgqueue.attempt_error a where a.job_id = e.id and a.reason <> 'follow_up' order by a.failed_at desc limit 1) as attempt_error
      from unnest(jobs, states, reasons, traits, results) e(id, state, reason, traits, result) where e.traits & 8192 <> 0) e
    cross join lateral (
      select f.jobs from pgqueue.follow_up f
      where f.job_id = e.id and f.outcome = case e.state when 'succeeded' then 'success' else 'error' end offset 0) f
    cross join lateral (select j.kind from pgqueue.job j where j.id = e.id offset 0) j
    order by e.id
  loop
    v_value := case v_job.state when 'succeeded' then coalesce(v_job.result, 'null')
      else jsonb_build_object('state', v_job.state, 'reason', v_job.reason, 'error', v_job.attempt_error) end;
    for v_next in select n.value from jsonb_array_elements(v_job.jobs) with ordinality n(value, nth) order by n.nth loop
      perform pgqueue._enqueue_follow_up(v_job.id, pgqueue._follow_up_job(v_next, v_job.id, v_job.kind, v_job.state, v_value));
    end loop;
  end loop;
  delete from pgqueue.follow_up f
  where f.job_id = any(array(
    select e.id from unnest(_follow_up.jobs, states, traits) e(id, state, traits) where e.traits & 8192 <> 0 and coalesce(e.state, 'succeeded') = 'succeeded'));
end $$;

-- source: sql/functions/private/_follow_up_job.sql
-- The element of enqueue_many that a follow-up becomes when its parent has ended: with what it is passed, and which job it follows.
create function pgqueue._follow_up_job(follow_up jsonb, parent bigint, kind text, state text, value jsonb) returns jsonb
language sql immutable
return (follow_up - 'pass_as') || jsonb_build_object(
  'args', coalesce(nullif(follow_up -> 'args', 'null'), '{}') || case when follow_up ->> 'pass_as' is null then '{}' else jsonb_build_object(follow_up ->> 'pass_as', value) end,
  'headers', coalesce(nullif(follow_up -> 'headers', 'null'), '{}') || jsonb_build_object('parent', jsonb_build_object('job', parent, 'kind', kind, 'state', state)));

-- source: sql/functions/private/_forget.sql
-- What a queue's history setting means for _finish and the lease: 0 keep every outcome, 1 only unsuccessful ones, 2 none.
create function pgqueue._forget(history text) returns smallint
language sql immutable
return case history when 'none' then 2 when 'failed' then 1 else 0 end;

-- source: sql/functions/private/_forget_batch.sql
-- Everything about a batch goes; what its jobs left goes with their blocks. False: somebody has it in hand, such as a worker that hands in late results; another time, since who waits here may
-- have other batches in hand that this one wants.
create function pgqueue._forget_batch(batch bigint) returns boolean
language plpgsql
as $$
begin
  perform from pgqueue.batch_count c where c.batch_id = batch for update skip locked;
  if not found then
    return false;
  end if;
  delete from pgqueue.row_outcome o where o.batch_id = batch;
  delete from pgqueue.batch_file f where f.batch_id = batch;
  delete from pgqueue.follow_up f where f.job_id = batch;
  delete from pgqueue.batch_slice s where s.batch_id = batch;
  delete from pgqueue.batch_count c where c.batch_id = batch;
  delete from pgqueue.batch b where b.id = batch;
  return true;
end $$;

-- source: sql/functions/private/_forget_owners.sql
-- Forgets how many turns the owners of an idle queue have had. Their rows are locked first and the line is looked at after that: an admission that comes in between
-- holds its owner's row. Called at the end of a claim, which waits for nothing any more: so whoever waits for these rows waits for no circle.
create function pgqueue._forget_owners(queue text) returns void
language plpgsql
as $$
declare
  v_idle tid[];
begin
  if pgqueue._line_waits(queue) or not exists (select from pgqueue.owner_turns t where t.queue = _forget_owners.queue) then
    return;
  end if;
  v_idle := array(
    select t.ctid from pgqueue.owner_turns t where t.queue = _forget_owners.queue order by t.queue, t.owner limit 1000 for update skip locked);
  delete from pgqueue.owner_turns t
  where t.ctid = any(v_idle) and not pgqueue._line_waits(_forget_owners.queue)
    and not exists (select from pgqueue.turn w where w.queue = _forget_owners.queue);
end $$;

-- source: sql/functions/private/_forget_traces.sql
-- The log lines and events of jobs that are forgotten go with them. Few jobs have any, so first a look whether one of the range does.
create function pgqueue._forget_traces(jobs bigint[], low bigint, high bigint) returns void
language plpgsql
as $$
begin
  if exists (select from pgqueue.job_log l where l.job_id between low and high) then
    delete from pgqueue.job_log l where l.job_id between low and high and l.job_id = any(jobs);
  end if;
  if exists (select from pgqueue.job_event e where e.job_id between low and high) then
    delete from pgqueue.job_event e where e.job_id between low and high and e.job_id = any(jobs);
  end if;
end $$;

-- source: sql/functions/private/_free_keys.sql
-- Jobs give up their unique keys, but for those that are held for a period: they outlast their jobs. Nothing waits here for an enqueue that has the row of a key locked, as long as a user's transaction may be: it is left to it, and noted.
create function pgqueue._free_keys(jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_left bigint[];
begin
  delete from pgqueue.job_key k where k.ctid = any(array(select k.ctid from pgqueue.job_key k where k.job_id = any(jobs) and k.until is null for update skip locked));
  v_left := array(select k.job_id from pgqueue.job_key k where k.job_id = any(jobs) and k.until is null);
  if v_left <> '{}' then
    insert into pgqueue.left_key (job_id) select l from unnest(v_left) l on conflict do nothing;
  end if;
end $$;

-- source: sql/functions/private/_free_slots.sql
-- Takes the slots of these jobs away and hands them on at once to those that stand behind; who is in the inbox still is for claims to look at. Turns are given by claims,
-- so for those a worker is woken if somebody stands in line. The lock of a group is only tried: see _admit_or_ask. A group without a limit has nobody waiting.
create function pgqueue._free_slots(jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_queue record;
  v_lined text;
begin
  for v_lined in
    with gone as (delete from pgqueue.turn t where t.job_id = any(jobs) returning t.queue)
    select distinct gone.queue from gone order by 1
  loop
    if pgqueue._line_waits(v_lined) then
      perform pgqueue._wake(v_lined);
    end if;
  end loop;
  for v_queue in
    with gone as (delete from pgqueue.slot s where s.job_id = any(jobs) returning s.queue, s.group_key),
    freed as (select gone.queue, gone.group_key, count(*) as slots from gone group by gone.queue, gone.group_key)
    select f.queue, q.counted, array_agg(f.group_key) as groups, max(f.slots)::integer as most
    from freed f join pgqueue.queue q on q.name = f.queue and (q.group_limit is not null or q.counted)
    group by f.queue, q.counted order by f.queue
  loop
    if not v_queue.counted then
      v_queue.groups := pgqueue._groups_behind(v_queue.queue, v_queue.groups);
    end if;
    -- As many of each group as it has lost slots, and no more: what is taken from the inbox and does not fit would be put aside, to be taken from there later.
    if cardinality(v_queue.groups) > 0 then
      perform pgqueue._admit_or_ask(v_queue.queue, v_queue.groups, v_queue.most);
    end if;
  end loop;
end $$;

-- source: sql/functions/private/_fresh_result.sql
-- The newest result of this identity that ended after that time and has not expired, if there is one. As a range of one key, for the reason given in _admit_groups.
create function pgqueue._fresh_result(identity bytea, since timestamptz) returns bigint
language sql stable
as $$
  select q.job_id
  from (select q.job_id, q.identity from pgqueue.query q where q.identity between $1 and $1 order by q.identity desc, q.job_id desc limit 100) q
  cross join lateral (select r.outcome, r.ended_at, r.expires_at from pgqueue.query_run r where r.job_id = q.job_id offset 0) r
  where r.outcome = 'succeeded' and r.ended_at >= $2 and r.expires_at > pgqueue._now()
  order by q.job_id desc limit 1;
$$;

-- source: sql/functions/private/_further_rounds.sql
-- More for a claim that found less than it wants, where groups take turns: those that it has started have their next admitted by now. Round after round, so that groups go on in turn
-- inside of one claim. Returns the further leases; which rounds they are of is the order of their ids.
create function pgqueue._further_rounds(worker bigint, queues text[], n integer, urgent boolean) returns bigint[]
language plpgsql
as $$
declare
  v_fair text[] := array(select q.name from pgqueue.queue q where q.name = any(queues) and q.fair order by array_position(queues, q.name));
  v_picked tid[];
  v_taken record;
  v_leases bigint[] := array[]::bigint[];
  v_left integer := n;
begin
  while v_left > 0 and cardinality(v_fair) > 0 loop
    v_picked := (pgqueue._pick(array(select l from pgqueue._lanes(v_fair) l), v_left, urgent)).picked;
    exit when coalesce(cardinality(v_picked), 0) = 0;
    v_left := v_left - cardinality(v_picked);
    select t.leases, t.any_ into v_taken from pgqueue._take(worker, v_picked, queues) t;
    if v_taken.any_ & 1024 <> 0 then
      v_taken.leases := pgqueue._keyed_claimed(v_taken.leases);
    end if;
    if v_taken.any_ & 16 <> 0 then
      v_taken.leases := pgqueue._drop_expired(v_taken.leases);
    end if;
    if v_taken.any_ & 2048 <> 0 then
      v_taken.leases := pgqueue._give_up_keys(v_taken.leases);
    end if;
    perform pgqueue._starts(v_taken.leases);
    v_leases := v_leases || v_taken.leases;
  end loop;
  return v_leases;
end $$;

-- source: sql/functions/private/_gate_ended.sql
-- The part of the final transition that belongs to gates. `state` null: it has succeeded. The caller has the batch's counters locked. It is in the settle of another job and so has a moment:
-- a large batch is let go, or aborted, by upkeep, and one that is to be aborted waits until then.
create function pgqueue._gate_ended(batch pgqueue.batch, state text, reason text) returns void
language plpgsql
as $$
begin
  if reason = 'parent_failed' and (select c.rows from pgqueue.batch_count c where c.batch_id = (batch).id) > 5000 then
    update pgqueue.batch b set reason = 'parent_failed' where b.id = (batch).id;
    insert into pgqueue.batch_leaving (batch_id, after) values ((batch).id, (batch).id);
    return;
  end if;
  update pgqueue.batch b set waits = false, reason = case _gate_ended.reason when 'parent_failed' then _gate_ended.reason end where b.id = (batch).id;
  if state <> 'succeeded' then
    perform pgqueue._abort_batch(batch, null, true);
  else
    perform pgqueue._let_go((batch).id, true);
  end if;
end $$;

-- source: sql/functions/private/_give_back.sql
-- Gives back what a lease still holds, nothing spent. The caller has locked it.
create function pgqueue._give_back(lease pgqueue.lease) returns integer
language plpgsql
as $$
begin
  delete from pgqueue.lease l where l.id = (lease).id;
  perform pgqueue._settle_unsuccessful(lease, (lease).job_ids, array_fill('release'::text, array[cardinality((lease).job_ids)]), (lease).attempts,
    coalesce((lease).traits, array_fill(0, array[cardinality((lease).job_ids)])), null, null);
  return cardinality((lease).job_ids);
end $$;

-- source: sql/functions/private/_give_up_keys.sql
-- Jobs of new leases that hold their unique key only while they wait give it up. Returns the leases.
create function pgqueue._give_up_keys(leases bigint[]) returns bigint[]
language plpgsql
as $$
begin
  perform pgqueue._free_keys(array(
    select e.id from pgqueue.lease l cross join unnest(l.job_ids, l.traits) e(id, traits) where l.id = any(leases) and e.traits & 2048 <> 0));
  return leases;
end $$;

-- source: sql/functions/private/_go_back.sql
-- Jobs that were started and go back to their queue at once, by a release or after a crash. They keep the slot of their group; where starts are counted, so is each further one: there they give it up and
-- arrive anew, or, in strict order, keep it and are admitted before all others. The arrays are parallel.
create function pgqueue._go_back(jobs bigint[], queues text[], priorities smallint[], attempts smallint[], traits integer[]) returns void
language plpgsql
as $$
declare
  v_counted bigint[];
  v_free bigint[];
  v_part record;
begin
  if coalesce(cardinality(jobs), 0) = 0 then
    return;
  end if;
  if 0 <> any(select t & 2 from unnest(_go_back.traits) t where t & 128 = 0) then
    v_counted := array(
      select e.id from unnest(jobs, queues, _go_back.traits) e(id, queue, traits)
      where e.traits & 130 = 2 and (select q.counted from pgqueue.queue q where q.name = e.queue));
  end if;
  if coalesce(cardinality(v_counted), 0) = 0 then
    perform pgqueue._enter(jobs, queues, priorities, attempts, array(
      select e.traits & ~16384 from unnest(_go_back.traits) with ordinality e(traits, ord) order by e.ord), true);
    return;
  end if;
  v_free := array(
    select e.id from unnest(jobs, queues) e(id, queue)
    where e.id = any(v_counted) and (select q.group_order from pgqueue.queue q where q.name = e.queue) is distinct from 'strict');
  for v_part in
    select p.counted, array_agg(p.id order by p.ord) as jobs, array_agg(p.queue order by p.ord) as queues, array_agg(p.priority order by p.ord) as priorities,
      array_agg(p.attempt order by p.ord) as attempts, array_agg(p.traits order by p.ord) as traits
    from (
      select e.id, e.queue, e.priority, e.attempt, e.ord, e.id = any(v_counted) as counted,
        e.traits & ~16384 | case when e.id = any(v_counted) and e.id <> all(v_free) then 32768 else 0 end as traits
      from unnest(jobs, queues, priorities, attempts, _go_back.traits) with ordinality e(id, queue, priority, attempt, traits, ord)) p
    group by p.counted
  loop
    perform pgqueue._enter(v_part.jobs, v_part.queues, v_part.priorities, v_part.attempts, v_part.traits, not v_part.counted);
  end loop;
  perform pgqueue._free_slots(v_free);
end $$;

-- source: sql/functions/private/_group_period.sql
-- The length of the window in which starts of a group are counted.
create function pgqueue._group_period(queue text, group_key text) returns interval
language sql stable
return coalesce(
  (select g.rate_period from pgqueue.group_setting g where g.queue = _group_period.queue and g.group_key = _group_period.group_key),
  (select q.group_rate_period from pgqueue.queue q where q.name = _group_period.queue),
  interval '1 second');

-- source: sql/functions/private/_group_settings.sql
-- What a group has of its own; an empty object when it has nothing.
create function pgqueue._group_settings(queue text, group_key text) returns jsonb
language sql stable
as $$
  select coalesce((
    select jsonb_strip_nulls(jsonb_build_object('weight', g.weight, 'group_limit', g.group_limit, 'rate_limit', g.rate_limit, 'rate_period', g.rate_period))
    from pgqueue.group_setting g where g.queue = _group_settings.queue and g.group_key = _group_settings.group_key), '{}');
$$;

-- source: sql/functions/private/_groups_behind.sql
-- Of groups that have just lost slots, those whose blocked jobs have to be looked at by whoever took the slots away. Those of which nobody is blocked have theirs in the inbox, if any, in front of
-- everybody: claims find them in the order in which all have come, and admit a hundred groups as cheaply as one. Certain only under a group's lock: a claim that holds it may be putting jobs
-- aside for want of the very slot that is given up here. Such groups are asked to be looked at again, as in _admit_or_ask.
create function pgqueue._groups_behind(queue text, groups text[]) returns text[]
language plpgsql
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  v_mine text[] := array(
    select g.key from (select g.key from unnest(groups) g(key) order by g.key) g
    where pg_try_advisory_xact_lock(pgqueue._lock_class('group'), hashtext(_groups_behind.queue || E'\x1f' || g.key)));
begin
  if cardinality(v_mine) < cardinality(groups) then
    insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), 0, 0, 0, _groups_behind.queue, g.key from unnest(groups) g(key) where g.key <> all(v_mine);
  end if;
  if not pgqueue._nobody_sleeps(queue) then
    -- A worker that went to sleep has looked at the inbox, and wakes for what comes into it; so this is for one whose last look was cut short.
    perform from pgqueue.arrival a where a.queue = _groups_behind.queue order by a.queue, a.seq limit 1;
    if found then
      perform pgqueue._wake(queue);
    end if;
  end if;
  return array(
    select m.key from unnest(v_mine) m(key)
    where (
      select b.job_id from pgqueue.blocked b
      where b.queue = _groups_behind.queue and b.group_key = m.key order by b.queue, b.group_key, b.priority desc, b.seq limit 1) is not null);
end $$;

-- source: sql/functions/private/_groups_start.sql
-- What _starts does for the groups of one lease.
create function pgqueue._groups_start(lease pgqueue.lease, settings pgqueue.queue) returns void
language plpgsql
as $$
declare
  v_groups text[];
begin
  if 0 <> any(select t & 128 from unnest((lease).traits) t) then
    perform pgqueue._owners_start(lease, settings);
  end if;
  with started as (
    update pgqueue.slot s set state = 1
    where s.job_id = any((lease).job_ids)
    returning s.job_id, s.group_key),
  grouped as materialized (
    select s.group_key as key, count(*) as jobs, min(e.ord) as first,
      case when (settings).own_groups then (
        select g from pgqueue.group_setting g where g.queue = (lease).queue and g.group_key = s.group_key) end as own
    from started s join unnest((lease).job_ids) with ordinality e(id, ord) on e.id = s.job_id group by s.group_key),
  noted as (
    insert into pgqueue.group_start (queue, group_key, started_at, jobs, expires_at)
    select (lease).queue, g.key, (lease).claimed_at, g.jobs, (lease).claimed_at + coalesce((g.own).rate_period, (settings).group_rate_period, '1 second')
    from grouped g where coalesce((g.own).rate_limit, (settings).group_rate_limit) is not null)
  select array_agg(g.key order by g.first) into v_groups from grouped g;
  if v_groups is not null then
    perform pgqueue._admit_or_ask((lease).queue, v_groups, 2 * cardinality((lease).job_ids) + 1);
  end if;
end $$;

-- source: sql/functions/private/_groups_wait.sql
-- Has groups looked at again when the first start leaves the window, where jobs wait for that: the rate is used up by starts, at least in part. What is admitted and not started yet has its group looked
-- at when it starts. With the time that the admission went by, since which nothing has left the window: so none is forgotten. A look that is due later than that does not count: the
-- period was longer when it was written.
create function pgqueue._groups_wait(settings pgqueue.queue, groups text[], now_ timestamptz) returns void
language plpgsql
as $$
begin
  if (settings).group_rate_limit is null and not (settings).own_groups then
    return;
  end if;
  insert into pgqueue.group_wait (at, queue, group_key)
  select w.first + w.period, (settings).name, w.key
  from (
    select r.key, r.period, (
        select s.started_at from pgqueue.group_start s
        where s.queue = (settings).name and s.group_key = r.key and s.started_at > now_ - r.period order by s.queue, s.group_key, s.started_at limit 1) as first
    from (
      select g.key, coalesce((g.own).rate_period, (settings).group_rate_period, '1 second') as period
      from (
        select k as key, (select o from pgqueue.group_setting o where (settings).own_groups and o.queue = (settings).name and o.group_key = k) as own
        from unnest(groups) k offset 0) g
      where coalesce((g.own).rate_limit, (settings).group_rate_limit) is not null
        and (select b.job_id from pgqueue.blocked b where b.queue = (settings).name and b.group_key = g.key
          order by b.queue, b.group_key, b.priority desc, b.seq limit 1) is not null
        and pgqueue._places(settings, g.key, now_) = 0
      offset 0) r
    offset 0) w
  where w.first is not null
    and (select h.at from pgqueue.group_wait h where h.queue = (settings).name and h.group_key = w.key and h.at <= w.first + w.period
      order by h.queue, h.group_key limit 1) is null;
end $$;

-- source: sql/functions/private/_has_window.sql
-- Whether the window that _pick_wide remembers, expired or not, is one for these queues. Inlined: keep it one expression.
create function pgqueue._has_window(setting text, queues text[]) returns boolean
language sql immutable
return split_part(setting, E'\x1e', 1) = hash_array_extended(queues, 0)::text;

-- source: sql/functions/private/_hold_again.sql
-- A job that is retried waits for those of its parents that live again, by the policy it was enqueued with. False when none does: it runs. One that blocks its group
-- keeps its place meanwhile (trait 32768), and comes back to it.
create function pgqueue._hold_again(job pgqueue.job) returns boolean
language plpgsql
as $$
declare
  v_parents bigint[];
begin
  v_parents := array(
    select p.id from unnest((job).depends_on) p(id)
    where (select o.job_id from pgqueue.outcome o where o.job_id = p.id) is null
      and ((select j.id from pgqueue.job j where j.id = p.id) is not null or (select b.id from pgqueue.batch b where b.id = p.id and b.done_at is null) is not null));
  if cardinality(v_parents) = 0 then
    return false;
  end if;
  -- The others count: when one of them is retried later, this job waits for it no more.
  update pgqueue.dependency d set counted = d.parent_id <> all(v_parents)
  where d.parent_id = any((job).depends_on) and d.child_id = (job).id and d.counted = (d.parent_id = any(v_parents));
  insert into pgqueue.dependent (job_id, pending, traits, policy, priority, attempt, queue)
  select (job).id, cardinality(v_parents),
    pgqueue._traits((job).unique_key, (job).group_key, (job).timeout, (job).heartbeat, null) + pgqueue._flow_traits((job).id)
      + case when (job).kind = 'sql.query' then 128 else 0 end
      + case when exists (select from pgqueue.slot s where s.job_id = (job).id) then 32768 else 0 end,
    (select d.policy from pgqueue.dependency d where d.parent_id = v_parents[1] and d.child_id = (job).id), (job).priority, 0, (job).queue;
  insert into pgqueue.parent_look (seq, job_id, low, high, parked)
  select nextval('pgqueue.job_id'), p.id, (job).id, (job).id, false from unnest(v_parents) p(id);
  return true;
end $$;

-- source: sql/functions/private/_hold_lease.sql
-- The fence of what workers write while a job runs: holds the lease for this transaction, so that nobody takes the job away meanwhile, or refuses.
create function pgqueue._hold_lease(lease bigint, job bigint) returns void
language plpgsql
as $$
begin
  perform from pgqueue.lease l where l.id = _hold_lease.lease and l.job_ids @> array[_hold_lease.job] for share;
  if not found then
    perform pgqueue._refuse('PQ004', format('lease %s does not hold job %s', coalesce(lease::text, 'null'), coalesce(job::text, 'null')),
      'The job was taken away: stop working on it, and settle nothing.');
  end if;
end $$;

-- source: sql/functions/private/_hold_new.sql
-- Of new jobs, those whose parents have not all ended go where they wait for them; returns the others. Parents that have ended count at once. Of those that live, the ones of the
-- caller's own transaction, which nobody else sees, are marked in the row where they wait. Nothing of any other is locked: it must not wait for this transaction to be claimed or
-- settled, and may end meanwhile; a row in parent_look tells upkeep to look, when this transaction has committed.
--
-- Ids are joined with ids in hashes; tables are only looked into by array, within a range. A generic plan: one that is made for a long array expects more ids than fit into its
-- memory, and so compares each with each: a job with 320,000 parents took more than five minutes.
create function pgqueue._hold_new(jobs pgqueue.new_job[], now_ timestamptz) returns pgqueue.new_job[]
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_parents bigint[];
  v_low bigint;
  v_high bigint;
  v_known bigint[];
  v_own bigint[];
  v_ended bigint[];
  v_states text[];
  v_batches bigint[];
  v_gone bigint;
  v_held bigint[];
  v_dead pgqueue.new_job[];
begin
  if not exists (select from unnest(jobs) j where j.depends_on is not null) then
    return jobs;
  end if;
  select array_agg(p.id order by p.id), min(p.id), max(p.id) into v_parents, v_low, v_high
  from (select distinct p.id from unnest(jobs) j cross join lateral unnest(j.depends_on) p(id)) p
  where p.id not in (select j.id from unnest(jobs) j);
  if v_parents is not null then
    select array_agg(j.id), array_agg(j.id) filter (where j.xmin = pg_current_xact_id()::xid) into v_known, v_own
    from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_parents);
    select array_agg(o.job_id), array_agg(o.state::text) into v_ended, v_states
    from pgqueue.outcome o where o.job_id between v_low and v_high and o.job_id = any(v_parents);
    if coalesce(cardinality(v_known), 0) < cardinality(v_parents) then
      select array_agg(b.id), array_agg(b.id) filter (where b.done_at is not null) || v_ended,
        array_agg(case b.status when 'aborted' then 'cancelled' else b.status end) filter (where b.done_at is not null) || v_states
      into v_batches, v_ended, v_states
      from pgqueue.batch b where b.id = any(v_parents);
      select p into v_gone from unnest(v_parents) p
      where p not in (select i from unnest(v_known) i) and p not in (select i from unnest(v_batches) i) order by p limit 1;
      if found then
        perform pgqueue._refuse('PQ002', format('job %s, in depends_on, is unknown', v_gone),
          'It was never enqueued, its transaction was rolled back, it is past its retention, or it has ended and its queue keeps no history.');
      end if;
    end if;
    v_own := pgqueue._mark_parents(v_own);
  end if;

  with asked as materialized (
    select j.id, j.depends_on, coalesce(j.on_parent_failure, 'cancel')::pgqueue.parent_policy as policy from unnest(jobs) j where j.depends_on is not null),
  ended as materialized (select e.id, e.state from unnest(v_ended, v_states) e(id, state)),
  edge as materialized (
    select a.id as child, p.id as parent, a.policy, e.state, e.state is not null and (e.state = 'succeeded' or a.policy <> 'wait') as counted
    from asked a cross join lateral unnest(a.depends_on) p(id) left join ended e on e.id = p.id),
  known as (
    insert into pgqueue.dependency (parent_id, child_id, policy, counted) select e.parent, e.child, e.policy, e.counted from edge e),
  looks as (
    -- One that has failed may have been retried just now, and then is to tell how it ends this time.
    insert into pgqueue.parent_look (seq, job_id, low, high, parked)
    select nextval('pgqueue.job_id'), l.parent, l.low, l.high, false
    from (select e.parent, min(e.child) as low, max(e.child) as high from edge e where not e.counted group by e.parent) l
    where l.parent in (select p from unnest(v_parents) p) and l.parent not in (select i from unnest(v_own) i)),
  summed as materialized (
    select e.child, e.policy, count(*) filter (where not e.counted) as pending, bool_or(e.policy = 'cancel' and e.state <> 'succeeded') as dead
    from edge e group by e.child, e.policy),
  held as (
    insert into pgqueue.dependent (job_id, run_at, pending, traits, policy, priority, attempt, queue)
    select j.id, case when j.due > now_ then j.due end, s.pending, j.traits, s.policy, j.priority, 0, j.queue
    from unnest(jobs) j join summed s on s.child = j.id
    where s.pending > 0 and s.dead is not true)
  select array_agg(s.child) filter (where s.pending > 0 or s.dead), array(select j::pgqueue.new_job from unnest(jobs) j where j.id in (select d.child from summed d where d.dead))
  into v_held, v_dead
  from summed s;
  if cardinality(v_dead) > 0 then
    perform pgqueue._finish(array_agg(d.id order by d.id), array_agg('cancelled'::text), array_agg('parent_failed'::text), array_agg(0::smallint),
      array_agg(d.traits order by d.id), null, null, null, d.forget)
    from (
      select j.id, j.traits, pgqueue._forget((select q.history from pgqueue.queue q where q.name = j.queue)) as forget from unnest(v_dead) j) d
    group by d.forget;
  end if;
  return array(select j::pgqueue.new_job from unnest(jobs) j where j.id not in (select h from unnest(v_held) h));
end $$;

-- source: sql/functions/private/_hold_place.sql
-- Locks the row of a job where it waits, and says where that is; place is null when it waits nowhere, or in a room of its own kind. A claim that has the row locked is waited for, as in
-- _withdraw. Only locked, not written: whoever has read a row's address finds it there, or finds it gone, and looks again.
create function pgqueue._hold_place(in job bigint, out place text)
language plpgsql
as $$
begin
  perform from pgqueue.ready w where w.ctid = (select r.place from pgqueue._in_ready(job) r) for update;
  if found then place := 'ready'; return; end if;
  perform from pgqueue.scheduled w where w.job_id = job for update;
  if found then place := 'scheduled'; return; end if;
  perform from pgqueue.arrival w where w.job_id = job for update;
  if found then place := 'arrival'; return; end if;
  perform from pgqueue.blocked w where w.job_id = job for update;
  if found then place := 'blocked'; return; end if;
  perform from pgqueue.suspect w where w.job_id = job for update;
  if found then place := 'suspect'; return; end if;
  perform from pgqueue.dependent w where w.job_id = job for update;
  if found then place := 'dependent'; return; end if;
end $$;

-- source: sql/functions/private/_in_ready.sql
-- The row of a job in ready, if it is there: at its first turn it stands in the lane and at the number its job row says, later under its id. Inlined, so
-- that it sees what its caller's statement sees: keep it one plain query. The lateral query with its offset says that the lane is known: without it the planner
-- knows the turn from the id, and with the statistics of an empty table walks the index for the turn alone.
create function pgqueue._in_ready(job bigint)
returns table (place tid, job_id bigint, queue text, priority smallint, attempt smallint, traits integer, seq bigint)
language sql stable
as $$
  select r.ctid, r.job_id, r.queue::text, r.priority, r.attempt, r.traits, r.seq
  from pgqueue.job j
  cross join lateral (
    select r.ctid, r.* from pgqueue.ready r where r.queue = j.queue and r.priority = j.priority and r.seq = j.id offset 0) r
  where j.id = $1
  union all
  select r.ctid, r.job_id, r.queue::text, r.priority, r.attempt, r.traits, r.seq
  from pgqueue.ready r where r.job_id = $1 and r.seq <> r.job_id;
$$;

-- source: sql/functions/private/_interrupt_scripts.sql
-- These jobs go back in line: what of a script was running there did not end and is to run again.
create function pgqueue._interrupt_scripts(jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_scripts bigint[] := array(
    select i.id from unnest(jobs) i(id)
    cross join lateral (select from pgqueue.script s where s.job_id = i.id and 'running' in (s.status, s.fallback_status) offset 0) s order by 1);
begin
  if cardinality(v_scripts) = 0 then
    return;
  end if;
  update pgqueue.script_query q
  set status = case q.status when 'running' then 'queued' else q.status end,
    started_at = case q.status when 'running' then null else q.started_at end,
    fallback_status = case q.fallback_status when 'running' then 'queued' else q.fallback_status end
  where q.job_id = any(v_scripts) and 'running' in (q.status, q.fallback_status);
  update pgqueue.script s
  set status = case s.status when 'running' then 'queued' else s.status end,
    fallback_status = case s.fallback_status when 'running' then 'queued' else s.fallback_status end, updated_at = pgqueue._now()
  where s.job_id = any(v_scripts);
end $$;

-- source: sql/functions/private/_interval.sql
-- An interval inside a JSON document: a number of seconds, or text as Postgres reads it.
create function pgqueue._interval(given jsonb) returns interval
language sql stable
return case jsonb_typeof(given)
  when 'number' then make_interval(secs => given::float8)
  when 'null' then null
  else (given #>> '{}')::interval end;

-- source: sql/functions/private/_job_if_any.sql
-- Everything about one job, from one snapshot: where a job stands is where its row is, so the places are read together. No row for an unknown one.
create function pgqueue._job_if_any(job bigint)
returns setof pgqueue.job_info
language sql
as $$
  select j.id, j.queue, j.kind,
    coalesce(o.state::text, w.state, 'running'),
    o.reason,
    coalesce(w.priority_now, p.priority, j.priority)::integer,
    j.args,
    coalesce(o.attempt, w.attempt, l.attempt, 0)::integer,
    coalesce(j.max_attempts, q.max_attempts, 5::smallint)::integer,
    coalesce(c.crashes, 0)::integer,
    w.run_at, j.created_at, coalesce(o.claimed_at, l.claimed_at), o.finished_at,
    coalesce(o.worker_id, l.worker_id),
    j.unique_key, j.group_key, coalesce(j.timeout, q.timeout), j.expires_at, j.heartbeat, j.headers,
    g.progress, r.job_id is not null, o.result,
    (select e.error from pgqueue.attempt_error e where e.job_id = j.id and e.reason <> 'follow_up' order by e.failed_at desc limit 1)
  from pgqueue.job j
  left join pgqueue.outcome o on o.job_id = j.id
  left join lateral pgqueue._waiting(j.id, j.queue, j.priority) w on true
  left join lateral (
    select l.worker_id, l.claimed_at, l.attempts[array_position(l.job_ids, j.id)] as attempt
    from pgqueue.lease l where o.job_id is null and w.state is null and l.job_ids @> array[j.id] limit 1) l on true
  left join pgqueue.queue q on q.name = j.queue
  left join pgqueue.crash c on c.job_id = j.id
  left join pgqueue.changed_priority p on p.job_id = j.id
  left join pgqueue.progress g on g.job_id = j.id
  left join pgqueue.cancel_request r on r.job_id = j.id and o.job_id is null
  where j.id = $1;
$$;

-- source: sql/functions/private/_job_name.sql
-- How sentences for people name a job: those of a batch with what they are of it.
create function pgqueue._job_name(job bigint, kind text, args jsonb) returns text
language plpgsql
as $$
declare
  v_batch bigint := (select s.batch_id from pgqueue.batch_slice s where s.job_id = job);
begin
  return format('Job %s', job) || case
    when v_batch is not null and kind = 'rows.slow' then format(' (slow query %s)', v_batch)
    when v_batch is not null and kind = 'rows.gate' then format(' (for batch %s)', v_batch)
    when v_batch is not null then format(' (%s of batch %s)', case jsonb_array_length(args -> 'rows') when 1 then 'one row' else jsonb_array_length(args -> 'rows') || ' rows' end, v_batch)
    when kind = 'rows.done' and args ? 'batch' then format(' (completion of %s)', args ->> 'batch')
    else '' end;
end $$;

-- source: sql/functions/private/_json_object_or_refuse.sql
-- The text of a JSON object, or null for JSON null; anything else is refused.
create function pgqueue._json_object_or_refuse(what text, value text) returns text
language plpgsql
as $$
declare
  v_kind text;
begin
  begin
    v_kind := json_typeof(value::json);
  exception
    when data_exception then
      v_kind := 'not JSON';
  end;
  if coalesce(v_kind, '') not in ('object', 'null') then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, coalesce(v_kind, 'null')), format('Give %s as the text of a JSON object, or of null to clear it.', what));
  end if;
  return case v_kind when 'object' then value end;
end $$;

-- source: sql/functions/private/_keyed_at_hand.sql
-- Locks an item that was found to be stalled, or orphaned, where it stands, if it still stands there, is so still, and nobody else has it: claims, acks and other reapers are left to
-- finish what they do. (The lease in a form that no partial index answers to: the item is found by its id.) The last look is the one that counts: by its lock a heartbeat has come before, and is seen, or finds the item gone.
create function pgqueue._keyed_at_hand(item bigint, why text, heartbeat_ms bigint, orphan_ms bigint) returns boolean
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
begin
  if why = 'stalled' then
    perform from pgqueue.lease l
    where l.id = (select i.lease_id from pgqueue.keyed_item i where i.job_id = item) and l.job_ids @> array[item] for update skip locked;
    if found then
      perform from pgqueue.keyed_item i
      where i.job_id = item and coalesce(i.lease_id, 0) <> 0
        and greatest(i.heartbeat_at, (
          select w.heartbeat_at from pgqueue.worker w where w.id = (select l.worker_id from pgqueue.lease l where l.id = i.lease_id))) < v_now - pgqueue._ms(heartbeat_ms)
      for update of i skip locked;
    end if;
    return found;
  end if;
  perform from pgqueue.ready r where r.ctid = (select p.place from pgqueue._in_ready(item) p) and r.job_id = item for update skip locked;
  if not found then
    perform from pgqueue.suspect s where s.job_id = item for update skip locked;
  end if;
  if not found then
    perform from pgqueue.scheduled s where s.job_id = item for update skip locked;
  end if;
  if found then
    perform from pgqueue.keyed_item i
    where i.job_id = item and coalesce(i.lease_id, 0) = 0
      and coalesce(i.orphan_at, i.created_at + pgqueue._ms(orphan_ms)) < v_now
      and coalesce((
        select max(coalesce(r.orphan_at, r.at + pgqueue._ms(orphan_ms))) from pgqueue.keyed_request r where r.job_id = i.job_id) < v_now, true)
    for update of i skip locked;
  end if;
  return found;
end $$;

-- source: sql/functions/private/_keyed_claimed.sql
-- Items among the jobs of new leases are active from now on, each in a lease of its own: so that whoever executes one can lose it alone. Returns the leases as they are then.
create function pgqueue._keyed_claimed(leases bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_apart bigint[];
  v_items bigint[];
  v_of bigint[];
begin
  if exists (select from pgqueue.lease l where l.id = any(leases) and cardinality(l.job_ids) > 1) then
    with was as (
      delete from pgqueue.lease l where l.id = any(leases) and 0 <> any(select t & 1024 from unnest(l.traits) t)
      returning l.id, l.worker_id, l.claimed_at, l.forget, l.queue, l.job_ids, l.attempts, l.traits),
    apart as (
      insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
      select pgqueue._lease_number(), a.worker_id, a.claimed_at, a.forget, a.queue, a.jobs, a.attempts, a.traits
      from (
        select w.id, w.worker_id, w.claimed_at, w.forget, w.queue, array_agg(e.id order by e.ord) as jobs, array_agg(e.attempt order by e.ord) as attempts,
          array_agg(e.traits order by e.ord) as traits
        from was w cross join lateral unnest(w.job_ids, w.attempts, w.traits) with ordinality e(id, attempt, traits, ord)
        group by w.id, w.worker_id, w.claimed_at, w.forget, w.queue, case when e.traits & 1024 <> 0 then e.ord end
        order by w.id, min(e.ord)) a
      returning id)
    select array_agg(a.id) into v_apart from apart a;
    leases := array(select l.id from pgqueue.lease l where l.id = any(leases || v_apart) order by l.id);
  end if;
  -- By arrays, as in _keyed_waits.
  select array_agg(l.job_ids[1]), array_agg(l.id) into v_items, v_of from pgqueue.lease l where l.id = any(leases) and l.traits[1] & 1024 <> 0;
  update pgqueue.keyed_item i
  set lease_id = v_of[array_position(v_items, i.job_id)], claimed_at = pgqueue._now(), heartbeat_at = pgqueue._now()
  where i.job_id = any(v_items);
  return leases;
end $$;

-- source: sql/functions/private/_keyed_drop.sql
-- Cancels an item and tells those concerned: who waits for it, by the final transition; who executes it; and who waits for the place it had.
create function pgqueue._keyed_drop(item bigint, reason text) returns boolean
language plpgsql
as $$
declare
  v_end record;
begin
  select * into v_end from pgqueue._keyed_end(item, 'cancelled', reason);
  if v_end.ended and v_end.was_active then
    if pg_notification_queue_usage() < 0.5 then
      if v_end.worker is null then
        perform pg_notify('pgqueue_keyed', item::text);
      else
        perform pg_notify('pgqueue_worker', v_end.worker::text);
      end if;
    end if;
    perform pgqueue._wake(v_end.line);
  end if;
  return v_end.ended;
end $$;

-- source: sql/functions/private/_keyed_end.sql
-- Ends one item, wherever it stands: takes it out of its lease or from where it waits. False when it is gone. The lease first and the item last, as settles do. `line`: where workers wait for
-- the place it had; an exclusive item, too, has a place of its queue.
create function pgqueue._keyed_end(in item bigint, in state text, in reason text, out ended boolean, out was_active boolean, out worker bigint, out line text)
language plpgsql
as $$
declare
  v_lease pgqueue.lease;
  v_lease_id bigint;
  v_was record;
begin
  for v_look in 1..100 loop
    select i.lease_id, pgqueue._keyed_line(i.queue) into v_lease_id, line from pgqueue.keyed_item i where i.job_id = item;
    ended := found;
    if not ended then
      return;
    end if;
    was_active := v_lease_id is not null;
    if was_active then
      -- Most leases of clients hold one item.
      delete from pgqueue.lease l where l.id = v_lease_id and l.job_ids = array[item] returning l.* into v_lease;
      if found then
        worker := nullif(v_lease.worker_id, 0);
        perform pgqueue._finish(array[item], array[_keyed_end.state], array[_keyed_end.reason], v_lease.attempts, v_lease.traits, null, worker, v_lease.claimed_at, v_lease.forget);
        return;
      end if;
      select l.* into v_lease from pgqueue.lease l where l.id = v_lease_id for update;
      continue when not found or item <> all(v_lease.job_ids);
      perform pgqueue._unlease(v_lease, array[item]);
      worker := nullif(v_lease.worker_id, 0);
      perform pgqueue._finish(array[item], array[_keyed_end.state], array[_keyed_end.reason], array[e.attempt], array[e.traits], null, worker, v_lease.claimed_at, v_lease.forget)
      from unnest(v_lease.job_ids, v_lease.attempts, v_lease.traits) e(id, attempt, traits) where e.id = item;
      return;
    end if;
    select * into v_was from pgqueue._withdraw(item);
    if v_was.place is not null then
      perform pgqueue._finish(array[item], array[_keyed_end.state], array[_keyed_end.reason], array[v_was.attempt], array[v_was.traits], null, null, null,
        pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_was.queue)));
      return;
    end if;
  end loop;
  perform pgqueue._refuse('PQ005', format('item %s keeps moving', item), 'Try again.');
end $$;

-- source: sql/functions/private/_keyed_ended.sql
-- Items end. What a worker settled is their result: text, which came as a JSON string; a failure is a result too, of the form callers know from any queue. A client's result is stored
-- before (keyed_ack).
create function pgqueue._keyed_ended(jobs bigint[], states text[], reasons text[], traits integer[], results jsonb[]) returns void
language plpgsql
as $$
declare
  v_items bigint[] := array(select e.id from unnest(jobs, _keyed_ended.traits) e(id, traits) where e.traits & 1024 <> 0);
begin
  -- For _keyed_settled.
  perform pg_advisory_xact_lock_shared(pgqueue._lock_class('keyed end'), n.number) from (select distinct (i & 255)::integer as number from unnest(v_items) i) n;
  if results is not null or 'failed' = any(states) then
    insert into pgqueue.keyed_result (job_id, expires_at, taken, state, queue, key, result)
    select e.id, pgqueue._now() + (select c.keyed_ttl from pgqueue.config c), false, coalesce(e.state, 'succeeded')::pgqueue.final_state, i.queue, i.key,
      case when e.state = 'failed' then jsonb_build_object('error', coalesce((
          select coalesce(a.error ->> 'message', a.reason) from pgqueue.attempt_error a where a.job_id = e.id order by a.failed_at desc limit 1), e.reason))::text
        when jsonb_typeof(e.result) = 'string' then e.result #>> '{}'
        else e.result::text end
    from unnest(jobs, states, reasons, results) e(id, state, reason, result)
    cross join lateral (select i.queue, i.key from pgqueue.keyed_item i where i.job_id = e.id offset 0) i
    where e.id = any(v_items) and (e.state = 'failed' or coalesce(e.state, 'succeeded') = 'succeeded' and e.result is not null)
    on conflict do nothing;
  end if;
  with what as (delete from pgqueue.keyed_payload p where p.job_id = any(v_items)),
  who as (delete from pgqueue.keyed_request r where r.job_id = any(v_items) and r.external_id is null)
  delete from pgqueue.keyed_item i where i.job_id = any(v_items);
end $$;

-- source: sql/functions/private/_keyed_fresh.sql
-- The newest result of a key, if nobody has read it yet.
create function pgqueue._keyed_fresh(queue text, key text, now_ timestamptz) returns bigint
language plpgsql stable
as $$
begin
  return (
    select r.job_id
    from (
      select r.job_id, r.taken, r.expires_at from pgqueue.keyed_result r
      where r.queue = _keyed_fresh.queue and r.key = _keyed_fresh.key order by r.job_id + 0 desc limit 1) r
    where not r.taken and r.expires_at > now_);
end $$;

-- source: sql/functions/private/_keyed_id.sql
-- The live item a caller means: the id where one is given, whatever the key says by now, else what holds the key. Null when it is gone.
create function pgqueue._keyed_id(queue text, key text, id bigint) returns bigint
language plpgsql stable
as $$
declare
  v_id bigint;
begin
  if id is null then
    if queue is null or key is null then
      perform pgqueue._refuse('PQ001', 'neither an id nor a key', 'Give id, or queue and key.');
    end if;
    -- The offset: as in _take_keys. An old snapshot may show an ended holder beside the live one.
    select k.job_id into v_id
    from (select k.job_id from pgqueue.job_key k where k.queue = pgqueue._keyed_line(_keyed_id.queue) and k.unique_key = _keyed_id.key offset 0) k
    order by k.job_id desc limit 1;
    return v_id;
  end if;
  return id;
end $$;

-- source: sql/functions/private/_keyed_items.sql
-- Items of a queue in the order in which they are claimed, without those that belong to other processes. Each half in that order, as the index has the first: two halves are merged faster than
-- all of them are sorted. Inlined: keep it one plain query.
create function pgqueue._keyed_items(queue text, process_id text) returns setof pgqueue.keyed_item
language sql stable
as $$
  (select i.* from pgqueue.keyed_item i
   where i.queue = $1 and i.lease_id is null and (not i.exclusive or i.process_id = $2)
   order by i.priority desc, i.job_id)
  union all
  (select i.* from pgqueue.keyed_item i
   where i.queue = $1 and i.lease_id is not null and (not i.exclusive or i.process_id = $2)
   order by i.priority desc, i.job_id);
$$;

-- source: sql/functions/private/_keyed_join.sql
-- One more request for an item: its deadline moves later, never earlier, and the external id is remembered. A poller leaves a row only for each twentieth of its deadline, or each second.
create function pgqueue._keyed_join(id bigint, now_ timestamptz, orphan_ms bigint, external_id text) returns void
language plpgsql
as $$
begin
  insert into pgqueue.keyed_request (job_id, at, orphan_at, external_id)
  select _keyed_join.id, now_, now_ + pgqueue._ms(orphan_ms), _keyed_join.external_id
  where not exists (
    select from pgqueue.keyed_request r
    where r.job_id = _keyed_join.id and r.external_id is not distinct from _keyed_join.external_id
      and r.at > now_ - least(interval '1 second', pgqueue._ms(orphan_ms / 20))
      and case when orphan_ms is null then r.orphan_at is null else r.orphan_at >= now_ + pgqueue._ms(orphan_ms) - least(interval '1 second', pgqueue._ms(orphan_ms / 20)) end);
end $$;

-- source: sql/functions/private/_keyed_key.sql
-- Takes the key of a new item, or joins the one that holds it (created false). Locks: those of enqueue; whoever joins appends a row, and only one who
-- asks for a higher priority moves the item.
create function pgqueue._keyed_key(
  in queue text,
  in key text,
  in priority integer,
  in orphan_ms bigint,
  in external_id text,
  in reuse boolean,
  out id bigint,
  out created boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_priority smallint;
  v_left bigint;
begin
  loop
    if reuse then
      -- Also once the key is had: who waited for its last holder finds what it left.
      v_left := pgqueue._keyed_fresh(queue, key, pgqueue._now());
      if v_left is not null then
        delete from pgqueue.job_key k where k.job_id = id;
        id := v_left;
        created := false;
        return;
      end if;
    end if;
    exit when created;
    insert into pgqueue.job_key (queue, unique_key, job_id) values (pgqueue._keyed_line(queue), _keyed_key.key, nextval('pgqueue.job_id'))
    on conflict do nothing
    returning job_id, true into id, created;
    exit when created and not reuse;
    continue when created;
    id := pgqueue._keyed_id(queue, key, null);
    continue when id is null;
    select i.priority into v_priority from pgqueue.keyed_item i where i.job_id = id;
    if found then
      created := false;
      perform pgqueue._keyed_join(id, pgqueue._now(), orphan_ms, external_id);
      if priority > v_priority then
        perform pgqueue._keyed_raise(id, priority::smallint);
      end if;
      return;
    end if;
    -- Ended between the two looks, or a job that is no item.
    if exists (select from pgqueue.job_key k where k.job_id = id) and not exists (select from pgqueue.keyed_item i where i.job_id = id) then
      perform pgqueue._refuse('PQ005', format('key %s of queue %s belongs to job %s, which is no item', key, queue, id),
        'Give keyed items a queue of their own, apart from jobs with unique keys.');
    end if;
    id := null;
  end loop;
end $$;

-- source: sql/functions/private/_keyed_lapsed.sql
-- Items of a queue that nobody executes any more or nobody asks for any more. A null leaves that half out. Requests count from the latest deadline any of them has,
-- those without one from when they came. A worker's heartbeat is that of all it executes.
create function pgqueue._keyed_lapsed(queue text, heartbeat_ms bigint, orphan_ms bigint)
returns table (id bigint, key text, why text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
begin
  if heartbeat_ms is not null then
    return query
    select i.job_id, i.key, 'stalled'
    from pgqueue.keyed_item i
    where i.queue = _keyed_lapsed.queue and i.lease_id is not null
      and greatest(i.heartbeat_at, (
        select w.heartbeat_at from pgqueue.worker w where w.id = (select l.worker_id from pgqueue.lease l where l.id = i.lease_id))) < v_now - pgqueue._ms(heartbeat_ms)
    order by i.job_id + 0;
  end if;
  if orphan_ms is not null then
    return query
    select i.job_id, i.key, 'orphaned'
    from pgqueue.keyed_item i
    where i.queue = _keyed_lapsed.queue and i.lease_id is null
      and coalesce(i.orphan_at, i.created_at + pgqueue._ms(orphan_ms)) < v_now
      and coalesce((
        select max(coalesce(r.orphan_at, r.at + pgqueue._ms(orphan_ms))) from pgqueue.keyed_request r where r.job_id = i.job_id) < v_now, true)
    order by i.job_id + 0;
  end if;
end $$;

-- source: sql/functions/private/_keyed_lease.sql
-- A lease of a client's: no worker has it, so nobody's heartbeat counts but the item's own. `line` is that of the keyed queue, also for an exclusive item: its place is one of that queue's, where
-- workers' claims count it. Always true.
create function pgqueue._keyed_lease(item bigint, attempt smallint, traits integer, line text, forget smallint) returns boolean
language plpgsql
as $$
declare
  v_lease bigint;
  v_rated boolean;
begin
  with held as (
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    values (pgqueue._lease_number(), 0, pgqueue._now(), _keyed_lease.forget, line, array[item], array[_keyed_lease.attempt + 1]::smallint[], array[_keyed_lease.traits])
    returning id, claimed_at)
  update pgqueue.keyed_item i
  set lease_id = (select h.id from held h), claimed_at = (select h.claimed_at from held h), heartbeat_at = (select h.claimed_at from held h)
  where i.job_id = item
  returning i.lease_id, (select q.rate_limit from pgqueue.queue q where q.name = line) is not null into v_lease, v_rated;
  if v_rated then
    perform pgqueue._starts(array[v_lease]);
  end if;
  return true;
end $$;

-- source: sql/functions/private/_keyed_line.sql
-- The queue of the core in which items of a keyed queue stand: that of the same name; for exclusive items one of their process's own, where no other claim finds them.
-- Inlined: keep it one expression.
create function pgqueue._keyed_line(queue text, process_id text default null) returns text
language sql immutable
as $$
  select case when $2 is null and length($1) <= 200 then $1 else pgqueue._keyed_long_line($1 || coalesce('@' || $2, '')) end;
$$;

-- source: sql/functions/private/_keyed_lock.sql
-- Claims of one keyed queue go one after the other, so that its budget is exact; those of different queues never meet. The numbers of the locks are of 64 bits, so that two names
-- do not share one. A budget is counted afterwards, in a statement of its own: for that its snapshot must be a new one.
create function pgqueue._keyed_lock(queue text) returns void
language plpgsql
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    perform pgqueue._refuse('PQ005', format('a claim in a %s transaction', current_setting('transaction_isolation')),
      'Claim in a read committed transaction, best in one of its own: in this one the items that run are not to be seen.');
  end if;
  perform pg_advisory_xact_lock(hashtextextended(queue, pgqueue._lock_class('keyed')));
end $$;

-- source: sql/functions/private/_keyed_long_line.sql
-- Names too long for the core are cut, and told apart by what they were.
create function pgqueue._keyed_long_line(name text) returns text
language plpgsql immutable
as $$
begin
  return case
    when length(name) <= 200 then name
    else left(name, 130) || '~' || encode(sha256(convert_to(name, 'UTF8')), 'hex') end;
end $$;

-- source: sql/functions/private/_keyed_raise.sql
-- A waiting item is wanted more urgently. Whoever has it just now, a claim or another join, is not waited for.
create function pgqueue._keyed_raise(id bigint, priority smallint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_row pgqueue.ready;
begin
  select r.* into v_row from pgqueue.ready r where r.ctid = (select w.place from pgqueue._in_ready(id) w) for update skip locked;
  if not found or v_row.job_id <> id or v_row.priority >= priority then
    return;
  end if;
  delete from pgqueue.ready r where r.queue = v_row.queue and r.priority = v_row.priority and r.seq = v_row.seq;
  insert into pgqueue.changed_priority (job_id, priority) values (_keyed_raise.id, _keyed_raise.priority)
  on conflict (job_id) do update set priority = excluded.priority;
  perform pgqueue._enter(array[id], array[v_row.queue], array[priority], array[v_row.attempt], array[v_row.traits | 64], true);
end $$;

-- source: sql/functions/private/_keyed_release.sql
-- A stalled item goes back to where it waits, as from a worker that was lost.
create function pgqueue._keyed_release(item bigint) returns boolean
language plpgsql
as $$
declare
  v_lease pgqueue.lease;
begin
  select l.* into v_lease from pgqueue.lease l
  where l.id = (select i.lease_id from pgqueue.keyed_item i where i.job_id = item) for update;
  if not found or item <> all(v_lease.job_ids) then
    return false;
  end if;
  perform pgqueue._unlease(v_lease, array[item]);
  perform pgqueue._rescue_jobs(v_lease, array[e.id], array[e.attempt], array[e.traits], 0::smallint)
  from unnest(v_lease.job_ids, v_lease.attempts, v_lease.traits) e(id, attempt, traits) where e.id = item;
  return true;
end $$;

-- source: sql/functions/private/_keyed_room.sql
-- Takes the lock of a keyed queue (_keyed_lock), and says what a claim must know then: what is active, what waits, the item it wants, and how many more may run by the caller's number and the
-- queue's own max_running. In one statement, as each costs more than what it reads.
create function pgqueue._keyed_room(
  in queue text,
  in concurrency integer,
  in wanted bigint,
  out pending integer,
  out active text[],
  out room integer,
  out paused boolean,
  out forget smallint,
  out item bigint,
  out item_lease bigint,
  out item_queue text,
  out item_key text,
  out item_exclusive boolean,
  out item_process text,
  out item_extra text)
language plpgsql
as $$
declare
  v_most integer;
begin
  perform pgqueue._keyed_lock(queue);
  select s.pending, s.active, coalesce(_keyed_room.concurrency, 2147483647) - cardinality(s.active), q.paused_at is not null, pgqueue._forget(q.history), q.most_running,
    i.job_id, i.lease_id, i.queue, i.key, i.exclusive, i.process_id, i.extra
  into pending, active, room, paused, forget, v_most, item, item_lease, item_queue, item_key, item_exclusive, item_process, item_extra
  from (
    select (select count(*) from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is null) as pending,
      array(select i.key from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is not null order by i.job_id + 0) as active offset 0) s
  left join pgqueue.queue q on q.name = pgqueue._keyed_line(_keyed_room.queue)
  left join pgqueue.keyed_item i on i.job_id = _keyed_room.wanted;
  if v_most is not null then
    -- Where workers' claims of this queue meet; what they did meanwhile is counted anew.
    perform from pgqueue.limiter l where l.queue = pgqueue._keyed_line(_keyed_room.queue) for no key update;
    pending := (select count(*) from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is null);
    active := array(select i.key from pgqueue.keyed_item i where i.queue = _keyed_room.queue and i.lease_id is not null order by i.job_id + 0);
    item_lease := (select i.lease_id from pgqueue.keyed_item i where i.job_id = item);
    item := (select i.job_id from pgqueue.keyed_item i where i.job_id = item);
    room := least(coalesce(concurrency, v_most) - cardinality(active), v_most - cardinality(active), pgqueue._room(pgqueue._keyed_line(queue), v_most));
  end if;
end $$;

-- source: sql/functions/private/_keyed_settled.sql
-- Lets an end of this item that is in progress come to its commit, for a second at most. Whoever ends items looks for waiters before it commits; who begins to wait in between would miss both the notification
-- and the result. Ends hold a shared lock from before that look to their commit (_keyed_ended), of few numbers, lest a large one fill the table of locks. Here nobody queues for it, or others would behind.
create function pgqueue._keyed_settled(id bigint) returns void
language plpgsql
as $$
declare
  v_class integer := pgqueue._lock_class('keyed end');
  v_number integer := (id & 255)::integer;
begin
  if id is null then
    return;
  end if;
  for v_try in 1..250 loop
    if pg_try_advisory_lock(v_class, v_number) then
      perform pg_advisory_unlock(v_class, v_number);
      return;
    end if;
    perform pg_sleep(0.004);
  end loop;
end $$;

-- source: sql/functions/private/_keyed_store.sql
-- Writes a new item whose key is taken: with the place where it waits, or, `claimed`, with a lease of a client's. In one statement, as each costs more than what it writes.
create function pgqueue._keyed_store(
  item bigint,
  queue text,
  key text,
  payload text,
  priority integer,
  orphan_ms bigint,
  process_id text,
  exclusive boolean,
  external_id text,
  stage_key text,
  max_attempts integer,
  claimed boolean,
  forget smallint) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_line text := pgqueue._keyed_line(queue, case when exclusive then process_id end);
begin
  with job as (
    insert into pgqueue.job (id, created_at, priority, max_attempts, queue, kind, unique_key, args)
    values (item, v_now, _keyed_store.priority, _keyed_store.max_attempts, v_line, 'keyed.item', _keyed_store.key, '{}')),
  place as (
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select item, item, 1025, _keyed_store.priority, 0, v_line where not claimed),
  held as (
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    select pgqueue._lease_number(), 0, v_now, _keyed_store.forget, pgqueue._keyed_line(_keyed_store.queue), array[item], array[1::smallint], array[1025] where claimed
    returning id),
  what as (
    insert into pgqueue.keyed_payload (job_id, payload) values (item, _keyed_store.payload)),
  who as (
    insert into pgqueue.keyed_request (job_id, at, orphan_at, external_id)
    select item, v_now, v_now + pgqueue._ms(orphan_ms), _keyed_store.external_id where external_id is not null)
  insert into pgqueue.keyed_item (job_id, lease_id, created_at, claimed_at, heartbeat_at, orphan_at, priority, exclusive, queue, key, process_id, stage_key)
  values (item, (select h.id from held h), v_now, case when claimed then v_now end, case when claimed then v_now end, v_now + pgqueue._ms(orphan_ms), _keyed_store.priority,
    _keyed_store.exclusive, _keyed_store.queue, _keyed_store.key, _keyed_store.process_id, _keyed_store.stage_key);
  if claimed then
    return;
  end if;
  -- Claims know where to look, and workers who sleep are told.
  if not pgqueue._lane_known(v_line, priority) then
    perform pgqueue._open_lane(v_line, priority::smallint, false);
  end if;
  if not pgqueue._nobody_sleeps(v_line) then
    perform pgqueue._wake(v_line);
  end if;
end $$;

-- source: sql/functions/private/_keyed_take.sql
-- Claims one waiting item for a client. False when it is not where a claim finds it, or another session has it.
create function pgqueue._keyed_take(item bigint, line text, forget smallint) returns boolean
language plpgsql
as $$
declare
  v_row record;
begin
  delete from pgqueue.ready r
  where r.ctid = (
    select w.ctid from pgqueue.ready w where w.ctid = (select p.place from pgqueue._in_ready(item) p) and w.job_id = item for update skip locked)
  returning r.attempt, r.traits into v_row;
  if not found then
    delete from pgqueue.suspect s
    where s.ctid = (select w.ctid from pgqueue.suspect w where w.job_id = item for update skip locked)
    returning s.attempt, s.traits into v_row;
    if not found then
      return false;
    end if;
  end if;
  return pgqueue._keyed_lease(item, v_row.attempt, v_row.traits, line, forget);
end $$;

-- source: sql/functions/private/_keyed_tidy.sql
-- Upkeep of keyed queues: results that have expired; requests that came when their item had just ended; and, as the last net, items nobody has touched for hours: those that wait,
-- two hours after their deadline or four after the last request, those of clients, four hours after the last heartbeat.
create function pgqueue._keyed_tidy(now_ timestamptz) returns bigint
language plpgsql
as $$
declare
  v_jobs bigint[];
  v_job bigint;
  v_done bigint;
begin
  v_jobs := array(
    select r.job_id from pgqueue.keyed_result r where r.expires_at <= now_ order by r.expires_at limit 1000 for update skip locked);
  delete from pgqueue.keyed_request q where q.job_id = any(v_jobs);
  delete from pgqueue.keyed_result r where r.job_id = any(v_jobs);
  v_done := cardinality(v_jobs);

  v_jobs := array(
    select q.job_id from pgqueue.keyed_request q where q.job_id > pgqueue._slice('keyed_request') order by q.job_id limit 1000);
  perform pgqueue._next_slice('keyed_request', v_jobs, 1000);
  delete from pgqueue.keyed_request q
  where q.job_id = any(v_jobs) and q.at < now_ - interval '1 minute'
    and (select i.job_id from pgqueue.keyed_item i where i.job_id = q.job_id) is null
    and (select r.job_id from pgqueue.keyed_result r where r.job_id = q.job_id) is null;

  v_jobs := array(
    select i.job_id from pgqueue.keyed_item i where i.job_id > pgqueue._slice('keyed_item') order by i.job_id limit 1000);
  perform pgqueue._next_slice('keyed_item', v_jobs, 1000);
  for v_job in
    select i.job_id from pgqueue.keyed_item i
    where i.job_id = any(v_jobs) and i.created_at < now_ - interval '2 hours'
      and case
        when i.lease_id is null then greatest(coalesce(i.orphan_at + interval '2 hours', i.created_at + interval '4 hours'), (
          select max(coalesce(q.orphan_at + interval '2 hours', q.at + interval '4 hours')) from pgqueue.keyed_request q where q.job_id = i.job_id)) < now_
        else i.heartbeat_at < now_ - interval '4 hours'
          and (select l.worker_id from pgqueue.lease l where l.id = i.lease_id) = 0 end
    order by i.job_id
  loop
    if pgqueue._keyed_drop(v_job, 'orphaned') then
      v_done := v_done + 1;
    end if;
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_keyed_waits.sql
-- Items go back to where they wait, or stand there under another priority. By array: a join with one would be planned as one with the whole table.
create function pgqueue._keyed_waits(jobs bigint[], priorities smallint[]) returns void
language plpgsql
as $$
begin
  update pgqueue.keyed_item i
  set lease_id = null, claimed_at = null, heartbeat_at = null, priority = priorities[array_position(jobs, i.job_id)]
  where i.job_id = any(jobs);
end $$;

-- source: sql/functions/private/_lane.sql
-- One lane, as _lanes gives it; nothing when its queue is paused. Inlined: keep it one plain query.
create function pgqueue._lane(queue text, priority smallint) returns setof pgqueue.lane_in_view
language sql stable
as $$
  select l.queue, l.priority, false, l.most_running, pgqueue._forget(l.history), l.special, pgqueue._floor_of(l.cursor, l.owner),
    pgqueue._expiry_of(l.cursor, l.owner)
  from (
    select $1 as queue, $2 as priority, q.most_running, q.history, q.timeout is not null or q.max_attempts is not null as special,
      current_setting(pgqueue._cursor_name('ready', $1, $2), true) as cursor, pgqueue._cursor_owner('ready', $1, $2) as owner
    from (select) one left join pgqueue.queue q on q.name = $1
    where q.paused_at is null
    offset 0) l;
$$;

-- source: sql/functions/private/_lane_known.sql
-- Whether this session has seen that the lane is there, which it then is for good: upkeep removes doubles, never the last. Remembered in 256 settings,
-- direct-mapped as cursors are (see _cursor); a rolled-back lane is forgotten with its transaction, as settings are. The table's file tells
-- it from a later table of that name and from what it was before a truncate. Inlined: keep it one expression.
create function pgqueue._lane_known(queue text, priority integer) returns boolean
language sql stable
return coalesce(current_setting('pgqueue.lane_' || (hashtextextended(queue, priority::bigint) & 255)::text, true), '')
  = priority::text || E'\x1f' || pg_relation_filenode('pgqueue.lane')::text || E'\x1f' || queue;

-- source: sql/functions/private/_lanes.sql
-- The lanes of these queues, in the order in which a claim takes from them; not those of paused queues. Doubles, which wait for upkeep, are one lane.
-- For a few queues: their rank is looked up by walking the array. Inlined: keep it one plain query.
create function pgqueue._lanes(queues text[]) returns setof pgqueue.lane_in_view
language sql stable
as $$
  select l.queue::text, l.priority, l.grouped, l.most_running, pgqueue._forget(l.history), l.special,
    pgqueue._floor_of(l.cursor, l.owner), pgqueue._expiry_of(l.cursor, l.owner)
  from (
    select distinct on (l.priority, array_position($1, l.queue), l.queue) l.queue, l.priority, l.grouped, q.most_running, q.history,
      q.timeout is not null or q.max_attempts is not null as special,
      current_setting(pgqueue._cursor_name('ready', l.queue, l.priority), true) as cursor,
      pgqueue._cursor_owner('ready', l.queue, l.priority) as owner
    from pgqueue.lane l left join pgqueue.queue q on q.name = l.queue
    where l.queue = any($1) and q.paused_at is null
    order by l.priority desc, array_position($1, l.queue), l.queue, l.grouped desc) l;
$$;

-- source: sql/functions/private/_lanes_ranked.sql
-- As _lanes, for many queues: more of them than there are places for cursors come without, since their lanes would only drive each other out.
create function pgqueue._lanes_ranked(queues text[]) returns setof pgqueue.lane_in_view
language sql stable
as $$
  select l.queue::text, l.priority, l.grouped, l.most_running, pgqueue._forget(l.history), l.special,
    pgqueue._floor_of(l.cursor, l.owner), pgqueue._expiry_of(l.cursor, l.owner)
  from (
    select l.queue, l.priority, l.grouped, q.most_running, q.history, q.timeout is not null or q.max_attempts is not null as special, r.rank,
      case when cardinality($1) <= 256 then current_setting(pgqueue._cursor_name('ready', l.queue, l.priority), true) end as cursor,
      case when cardinality($1) <= 256 then pgqueue._cursor_owner('ready', l.queue, l.priority) end as owner
    from (
      select l.queue, l.priority, bool_or(l.grouped) as grouped from pgqueue.lane l where l.queue = any($1) group by l.queue, l.priority) l
    join (select u.queue, min(u.ord) as rank from unnest($1) with ordinality u(queue, ord) group by u.queue) r on r.queue = l.queue
    left join pgqueue.queue q on q.name = l.queue
    where q.paused_at is null) l
  order by l.priority desc, l.rank;
$$;

-- source: sql/functions/private/_lease_number.sql
-- Ids of leases must never come again, and a worker's claim may commit asynchronously: after a crash of the server the sequence may repeat its last
-- numbers, while a worker still holds a lease of that number from before. Sixteen random bits tell them apart; the order stays that of claims.
create function pgqueue._lease_number() returns bigint
language sql volatile
return (nextval('pgqueue.lease_id') << 16) | (65536 * random())::bigint % 65536;

-- source: sql/functions/private/_lease_of.sql
-- The lease that holds a job, if one does. Leases are few, and nothing on the hot path asks.
create function pgqueue._lease_of(job bigint) returns pgqueue.lease
language sql stable
return (select l from pgqueue.lease l where l.job_ids @> array[job] limit 1);

-- source: sql/functions/private/_leased.sql
-- What claim returns of these leases, with everything that may be special about a job. Job rows are read by array, materialised: joined directly they would be
-- read through an ordered walk of the whole index. What a few jobs have is read by scalar subqueries, which nothing can turn into a join with the whole table.
create function pgqueue._leased(leases bigint[])
returns table (
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
language plpgsql
as $$
#variable_conflict use_column
declare
  v_jobs bigint[];
  v_low bigint;
  v_high bigint;
begin
  select array_agg(e.id), min(e.id), max(e.id) into v_jobs, v_low, v_high
  from pgqueue.lease l cross join unnest(l.job_ids) e(id) where l.id = any(leases);
  return query
  with job as materialized (
    select * from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs)),
  held as materialized (
    select l.id as lease, q.max_attempts, q.timeout, e.id, e.attempt, e.ord,
      case when e.traits & 32 <> 0 then (select c.crashes from pgqueue.crash c where c.job_id = e.id) end as crashes,
      case when e.traits & 64 <> 0 then (select p.priority from pgqueue.changed_priority p where p.job_id = e.id) end as priority
    from pgqueue.lease l
    cross join unnest(l.job_ids, l.attempts, l.traits) with ordinality e(id, attempt, traits, ord)
    left join pgqueue.queue q on q.name = l.queue
    where l.id = any(leases))
  select h.lease, j.id, j.queue, j.kind, j.args, h.attempt::integer, coalesce(j.max_attempts, h.max_attempts, 5::smallint)::integer,
    coalesce(h.priority, j.priority)::integer, coalesce(j.timeout, h.timeout),
    j.heartbeat, j.headers, j.group_key, j.unique_key, coalesce(h.crashes, 0)::integer, j.created_at
  from held h
  join job j on j.id = h.id
  order by coalesce(h.priority, j.priority) desc, h.lease, h.ord;
end $$;

-- source: sql/functions/private/_let_go.sql
-- Lets a batch run that nothing holds any more; the caller has its counters locked. `by_gate`: it is let go by the end of another job, so only a moment may be spent here, and upkeep brings the
-- slices of a large one along.
create function pgqueue._let_go(batch bigint, by_gate boolean) returns void
language plpgsql
as $$
declare
  v_batch pgqueue.batch;
  v_rows integer;
begin
  update pgqueue.batch b set status = 'queued', released_at = pgqueue._now()
  where b.id = batch and b.status = 'held' and not b.hold and not b.waits returning b.* into v_batch;
  if not found then
    return;
  end if;
  select c.rows into v_rows from pgqueue.batch_count c where c.batch_id = batch;
  if v_rows = 0 then
    perform pgqueue._finish_batch(batch, 'succeeded', by_gate);
    return;
  elsif by_gate and v_rows > 5000 then
    insert into pgqueue.batch_leaving (batch_id, after) values (batch, batch);
    return;
  end if;
  with gone as (delete from pgqueue.held h where h.batch_id = batch returning h.*)
  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
  select g.job_id, g.job_id, g.traits, g.priority, g.attempt, g.queue from gone g;
  perform pgqueue._wake(v_batch.queue);
end $$;

-- source: sql/functions/private/_line_waits.sql
-- Whether anybody stands in line in a queue. The order names the index: without it the planner may look for one of the queue along any. Not a SQL function: with a
-- query in it, that is not inlined but planned at every call, and every settle of a job with a group asks.
create function pgqueue._line_waits(queue text) returns boolean
language plpgsql stable
as $$
begin
  perform from pgqueue.line l where l.queue = _line_waits.queue order by l.queue, l.owner, l.priority desc, l.job_id limit 1;
  return found;
end $$;

-- source: sql/functions/private/_lock_batches.sql
-- Locks the batches whose rows these leases carry, in the order of their ids: for a call that ends slices of several leases one after the other. Two such calls that went by their leases
-- would wait for each other. So whatever may end slices calls this before it locks anything that a worker or an abort could wait for; those that cannot know so early
-- what they will meet use _try_batches. `jobs`: only those of the leases; null means all. Nothing is looked up when no lease carries rows.
create function pgqueue._lock_batches(leases bigint[], jobs bigint[] default null) returns void
language plpgsql
as $$
begin
  if exists (select from pgqueue.lease l cross join unnest(l.traits) t where l.id = any(leases) and t & 512 <> 0) then
    if jobs is null then
      jobs := array(select j.id from pgqueue.lease l cross join unnest(l.job_ids) j(id) where l.id = any(leases));
    end if;
    perform from pgqueue.batch_count c
    where c.batch_id = any(array(select (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.id) from unnest(jobs) j(id))) order by c.batch_id for no key update;
  end if;
end $$;

-- source: sql/functions/private/_lock_class.sql
-- First key of our two-key advisory locks: 'sleep' and 'asleep' (a worker sleeps on a queue), 'wait' (somebody listens for outcomes), 'group'
-- (admission to one group), 'lead' (leader and upkeep). Derived from the schema's name, so two installations in one database stay apart.
create function pgqueue._lock_class(purpose text) returns integer
language sql immutable
return hashtext('pgqueue' || '.' || purpose);

-- source: sql/functions/private/_locks_held.sql
-- Second keys of the session's own advisory locks of one class. Session locks count: taken twice, they must be let go twice; so callers look first.
create function pgqueue._locks_held(purpose text) returns setof integer
language sql
as $$
  select l.objid::bigint::bit(32)::integer
  from pg_catalog.pg_locks l
  where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.granted and l.objsubid = 2
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
    and l.classid::bigint::bit(32)::integer = pgqueue._lock_class(purpose);
$$;

-- source: sql/functions/private/_lose_worker.sql
-- A worker is lost: its row goes, and what its leases hold is queued again. Crashes are counted apart from attempts. Who is to blame is not known, so
-- at first every job it held is suspected once. When it held suspects already, those with the highest count alone are blamed and the others go back
-- as they were: since a worker is never given two jobs of two or more crashes (see _claim_suspect), a poison job's count soon outruns its neighbours'.
-- Leases another session has locked are being settled; they stay, without a worker, for the next pass. So do those of scripts and queries that somebody cancels just now. They are named by array: as in worker_heartbeat.
-- `slices`: of the leases that carry rows of batches, only these may be touched, their batches are locked; null means all.
create function pgqueue._lose_worker(worker bigint, slices bigint[] default null) returns integer
language plpgsql
as $$
declare
  v_lease pgqueue.lease;
  v_held bigint[];
  v_blamed smallint;
  v_done integer := 0;
begin
  delete from pgqueue.worker w where w.id = _lose_worker.worker;
  v_held := array(select l.id from pgqueue.lease l where l.worker_id = _lose_worker.worker);
  select max((select c.crashes from pgqueue.crash c where c.job_id = j.id)) into v_blamed
  from pgqueue.lease l cross join unnest(l.job_ids, l.traits) j(id, traits)
  where l.id = any(v_held) and j.traits & 32 <> 0;
  for v_lease in
    select l.* from pgqueue.lease l where l.id = any(v_held) order by l.id for update skip locked
  loop
    continue when v_lease.id <> all(slices) and exists (select from unnest(v_lease.traits) t where t & 512 <> 0);
    continue when exists (select from unnest(v_lease.traits) t where t & 128 <> 0) and not pgqueue._try_sql_jobs(v_lease.job_ids);
    delete from pgqueue.lease l where l.id = v_lease.id;
    perform pgqueue._rescue_jobs(v_lease, v_lease.job_ids, v_lease.attempts, v_lease.traits, coalesce(v_blamed, 0::smallint));
    v_done := v_done + cardinality(v_lease.job_ids);
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_make_slices.sql
-- One job for each of these arrays of rows [id, line, input]. They wait for the release of the batch, for a time, or to be claimed.
create function pgqueue._make_slices(batch pgqueue.batch, slices jsonb[], due timestamptz) returns void
language plpgsql
as $$
begin
  with made as materialized (
    select nextval('pgqueue.job_id') as id, s.rows from unnest(slices) s(rows)),
  asked as (
    insert into pgqueue.job (id, created_at, priority, max_attempts, queue, kind, args)
    select m.id, pgqueue._now(), (batch).priority, 3, (batch).queue, case (batch).kind when 'batch' then 'rows.slice' else 'rows.slow' end,
      jsonb_build_object('batch', (batch).id, 'app', (batch).app, 'op', (batch).op, 'rows', m.rows)
    from made m),
  known as (insert into pgqueue.batch_slice (job_id, batch_id) select m.id, (batch).id from made m),
  waiting as (
    insert into pgqueue.held (job_id, batch_id, traits, priority, attempt, queue)
    select m.id, (batch).id, 512, (batch).priority, 0, (batch).queue from made m where (batch).status = 'held'),
  later as (
    insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
    select due, m.id, 512, (batch).priority, 0, (batch).queue from made m where (batch).status <> 'held' and due is not null)
  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
  select m.id, m.id, 512, (batch).priority, 0, (batch).queue from made m where (batch).status <> 'held' and due is null;
  perform pgqueue._open_lane((batch).queue, (batch).priority, false);
  if (batch).status <> 'held' and due is null then
    perform pgqueue._wake((batch).queue);
  end if;
end $$;

-- source: sql/functions/private/_mark_parents.sql
-- Writes into the rows of waiting jobs that others wait for their end. Returns those that have it written, now or before; one that is locked, or waits nowhere, has not. What has just moved
-- is not followed. A turn does not change: the row stays where it is.
create function pgqueue._mark_parents(jobs bigint[]) returns bigint[]
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_low bigint := (select min(i) from unnest(jobs) i);
  v_high bigint := (select max(i) from unnest(jobs) i);
  v_marked bigint[];
  v_left bigint[] := jobs;
  v_place text;
begin
  if v_low is null then
    return null;
  end if;
  with picked as materialized (
    select r.ctid from (
      select j.id, j.queue, j.priority from pgqueue.job j where j.id between v_low and v_high and j.id = any(jobs)) j
    cross join lateral (
      select r.ctid from pgqueue.ready r where r.queue = j.queue and r.priority = j.priority and r.seq = j.id and r.seq = r.job_id for update skip locked) r),
  marked as (
    update pgqueue.ready r set traits = r.traits | 4096 where r.ctid = any(array(select p.ctid from picked p)) returning r.job_id)
  select array_agg(m.job_id) into v_marked from marked m;
  if cardinality(v_marked) = cardinality(jobs) then
    return v_marked;
  end if;
  v_left := array(select i from unnest(jobs) i where i not in (select m from unnest(v_marked) m));
  with picked as materialized (
    select r.ctid from pgqueue.ready r where r.job_id = any(v_left) and r.seq <> r.job_id for update skip locked),
  marked as (
    update pgqueue.ready r set traits = r.traits | 4096 where r.ctid = any(array(select p.ctid from picked p)) returning r.job_id)
  select v_marked || array_agg(m.job_id) into v_marked from marked m;
  foreach v_place in array array['scheduled', 'dependent', 'arrival', 'blocked', 'suspect', 'line', 'held'] loop
    exit when cardinality(v_marked) = cardinality(jobs);
    v_left := array(select i from unnest(jobs) i where i not in (select m from unnest(v_marked) m));
    execute format(
      'with picked as materialized (select w.ctid from pgqueue.%1$I w where w.job_id = any($1) for update skip locked),
      marked as (update pgqueue.%1$I w set traits = w.traits | 4096 where w.ctid = any(array(select p.ctid from picked p)) returning w.job_id)
      select $2 || array_agg(m.job_id) from marked m', v_place) using v_left, v_marked into v_marked;
  end loop;
  return v_marked;
end $$;

-- source: sql/functions/private/_merge_json.sql
-- Two texts of JSON objects as one: the second's members win. The type json keeps numbers and strings as they are written. Escapes that no text can stand for, NUL and half
-- surrogates, are legal in it all the same, yet not to its functions: they are hidden meanwhile. What hides `\u` is right after a backslash, too.
create function pgqueue._merge_json(old text, new text) returns text
language plpgsql immutable
as $$
declare
  v_hide boolean := old || new ~ '\\u(0000|[dD][89a-fA-F])';
  v_hidden constant text := '\/~u~';
  v_merged text;
  v_names boolean;
begin
  if v_hide then
    if position('~u~' in old || new) > 0 then
      perform pgqueue._refuse('PQ001', 'extra has ~u~ beside an escaped NUL or surrogate', 'Give it without one of them.');
    end if;
    old := replace(old, '\u', v_hidden);
    new := replace(new, '\u', v_hidden);
  end if;
  select '{' || coalesce(string_agg(to_json(m.key)::text || ':' || m.value::text, ',' order by m.ord), '') || '}', coalesce(bool_or(position('~u~' in m.key) > 0), false)
  into v_merged, v_names
  from (
    select distinct on (e.key) e.key, e.value, min(e.ord) over (partition by e.key) as ord
    from (
      select o.key, o.value, o.ord, 1 as turn from json_each(old::json) with ordinality o(key, value, ord)
      union all
      select n.key, n.value, n.ord + 1000000000, 2 from json_each(new::json) with ordinality n(key, value, ord)) e
    order by e.key, e.turn desc, e.ord desc) m;
  if v_hide then
    if v_names then
      perform pgqueue._refuse('PQ001', 'extra has an escape in the name of a member beside an escaped NUL or surrogate', 'Give names of members as they are.');
    end if;
    v_merged := replace(v_merged, v_hidden, '\u');
  end if;
  return v_merged;
end $$;

-- source: sql/functions/private/_move.sql
-- Takes one waiting job to another queue, with a new turn there; its unique key goes with it, its slot does not. Its row is updated: see decisions.md. A key that is taken there is for the caller to catch
-- (unique_violation). Slices and items are known to their batch and their keyed queue by the queue they are in, and stay.
create function pgqueue._move(job bigint, queue text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_due timestamptz;
  v_was record;
begin
  select s.run_at into v_due from pgqueue.scheduled s where s.job_id = job;
  -- A script before its place, but one that is held: as whoever cancels it.
  perform from pgqueue.dependent d where d.job_id = job for update;
  perform from pgqueue.script s where s.job_id = job for update;
  -- One that waits for other jobs goes on waiting, and is let go there.
  update pgqueue.dependent d set queue = _move.queue where d.job_id = job and d.queue <> _move.queue and d.traits & 512 = 0 returning d.traits, (select j.queue from pgqueue.job j where j.id = job) as queue into v_was;
  if found then
    perform pgqueue._to_queue(array[job], _move.queue, array[v_was.queue], array[v_was.traits]);
    return;
  end if;
  select * into v_was from pgqueue._withdraw_or_refuse(job);
  -- One that waits for anything but its turn or its time would be let go.
  if v_was.traits & 1536 <> 0 or v_was.queue = _move.queue or v_was.place not in ('ready', 'scheduled', 'arrival', 'blocked', 'suspect', 'line') then
    perform pgqueue._refuse('PQ005', format('job %s cannot be moved to %s', job, queue), 'Tasks, scripts and queries can be moved, and only to another queue.');
  end if;
  if v_was.traits & 2049 <> 0 and pgqueue._retake_key(job) is not null then
    perform pgqueue._refuse('PQ005', format('another job is about to take the unique key of job %s', job), 'Try again: within a second or two it is decided which of them stays.');
  end if;
  perform pgqueue._to_queue(array[job], _move.queue, array[v_was.queue], array[v_was.traits]);
  if v_was.place = 'scheduled' then
    perform pgqueue._schedule(array[job], array[_move.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], array[v_due]);
  else
    perform pgqueue._enter(array[job], array[_move.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], false);
  end if;
end $$;

-- source: sql/functions/private/_ms.sql
-- Inlined: keep it one expression.
create function pgqueue._ms(ms bigint) returns interval
language sql immutable
return make_interval(secs => ms / 1000.0::float8);

-- source: sql/functions/private/_names.sql
-- A JSON array of names as an array of text; null of null.
create function pgqueue._names(name text, list jsonb) returns text[]
language plpgsql immutable
as $$
begin
  if exists (select from pgqueue._elements(name, list) e(value) where jsonb_typeof(e.value) <> 'string') then
    perform pgqueue._refuse('PQ001', format('%s has an element that is not text', name), format('Give %s as an array of names.', name));
  end if;
  return case when jsonb_typeof(list) = 'array' then array(select e.value #>> '{}' from pgqueue._elements(name, list) e(value)) end;
end $$;

-- source: sql/functions/private/_new_batch.sql
-- Checks what batches and slow queries have in common, and writes the batch without rows, and what follows it. Op is lower-cased everywhere. One that is to wait for others is held until
-- its gate has been put up.
create function pgqueue._new_batch(
  kind text,
  app text,
  op text,
  context jsonb,
  hold boolean,
  owner text,
  priority integer,
  slice_size integer,
  depends_on bigint[],
  on_parent_failure text,
  on_success jsonb,
  on_error jsonb) returns pgqueue.batch
language plpgsql
as $$
declare
  v_batch pgqueue.batch;
begin
  perform pgqueue._check_name('app', app, 150);
  perform pgqueue._check_name('op', op, 150);
  v_batch.op := lower(op collate "C");
  v_batch.queue := pgqueue._rows_queue(app, v_batch.op);
  perform pgqueue._check_name('app and op together', v_batch.queue, 200);
  v_batch.owner := coalesce(owner, session_user::text);
  perform pgqueue._check_name('owner', v_batch.owner, 500);
  if hold is null then
    perform pgqueue._refuse('PQ001', 'hold is null', 'Give true to append more rows later, else false.');
  end if;
  if priority is null or priority not between -32768 and 32767 then
    perform pgqueue._refuse('PQ001', format('priority is %s', coalesce(priority::text, 'null')),
      'Give a whole number from -32768 to 32767; higher runs first, 0 is usual.');
  end if;
  if slice_size is null or slice_size not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('slice_size is %s', coalesce(slice_size::text, 'null')), 'Give a whole number from 1 to 10000; 10 is usual.');
  end if;
  perform pgqueue._check_flow(null, null, null, null, null, depends_on, on_parent_failure, on_success, on_error);
  v_batch.id := nextval('pgqueue.job_id');
  v_batch.kind := kind;
  v_batch.hold := hold;
  v_batch.waits := coalesce(cardinality(depends_on), 0) > 0;
  v_batch.status := case when v_batch.hold or v_batch.waits then 'held' else 'queued' end;
  v_batch.submitted_at := pgqueue._now();
  v_batch.released_at := case when v_batch.status = 'queued' then v_batch.submitted_at end;
  v_batch.priority := priority;
  v_batch.slice_size := slice_size;
  v_batch.app := app;
  v_batch.context := coalesce(context, '{}');
  insert into pgqueue.batch select v_batch.*;
  insert into pgqueue.batch_count (batch_id, rows, pending) values (v_batch.id, 0, 0);
  if num_nonnulls(on_success, on_error) > 0 then
    insert into pgqueue.follow_up (job_id, outcome, jobs)
    select v_batch.id, f.outcome, case jsonb_typeof(f.jobs) when 'array' then f.jobs else jsonb_build_array(f.jobs) end
    from (values ('success', on_success), ('error', on_error)) f(outcome, jobs) where f.jobs is not null;
  end if;
  return v_batch;
end $$;

-- source: sql/functions/private/_new_job.sql
-- One element of enqueue_many, converted and checked. Draws the job's id.
create function pgqueue._new_job(job jsonb, now_ timestamptz) returns pgqueue.new_job
language plpgsql
as $$
declare
  v_key text;
  v_new pgqueue.new_job;
  v_priority integer := coalesce((job ->> 'priority')::integer, 0);
  v_run_at timestamptz := (job ->> 'run_at')::timestamptz;
  v_delay interval := pgqueue._interval(job -> 'delay');
  v_max_attempts integer := (job ->> 'max_attempts')::integer;
  v_expires_in interval := pgqueue._interval(job -> 'expires_in');
  v_flow boolean := job ?| array['unique_by', 'unique_until', 'unique_for', 'on_duplicate', 'depends_on', 'on_parent_failure', 'on_success', 'on_error', 'ref'];
  v_unique_by text[];
begin
  for v_key in
    select k from unnest(array['kind', 'queue', 'unique_key', 'group_key', 'run_at', 'unique_until', 'on_duplicate', 'on_parent_failure', 'ref']) k
  loop
    if jsonb_typeof(job -> v_key) not in ('string', 'null') then
      perform pgqueue._refuse('PQ001', format('%s is %s, not text', v_key, jsonb_typeof(job -> v_key)), format('Give %s as a string.', v_key));
    end if;
  end loop;
  v_new.kind := job ->> 'kind';
  v_new.args := coalesce(nullif(job -> 'args', 'null'), '{}');
  v_new.queue := coalesce(job ->> 'queue', 'default');
  v_new.unique_key := job ->> 'unique_key';
  v_new.group_key := job ->> 'group_key';
  v_new.timeout := pgqueue._interval(job -> 'timeout');
  v_new.heartbeat := pgqueue._interval(job -> 'heartbeat');
  v_new.backoff := nullif(job -> 'backoff', 'null');
  v_new.headers := nullif(job -> 'headers', 'null');
  perform pgqueue._check_job(v_new.kind, v_new.args, v_new.queue, v_priority, v_run_at, v_delay, v_new.unique_key, v_new.group_key,
    v_max_attempts, v_new.timeout, v_expires_in, v_new.heartbeat, v_new.backoff, v_new.headers);
  v_new.id := nextval('pgqueue.job_id');
  v_new.priority := v_priority;
  v_new.max_attempts := v_max_attempts;
  v_new.due := coalesce(v_run_at, now_ + v_delay, now_);
  v_new.expires_at := now_ + v_expires_in;
  if v_flow then
    v_unique_by := pgqueue._names('unique_by', job -> 'unique_by');
    v_new.unique_for := pgqueue._interval(job -> 'unique_for');
    v_new.on_duplicate := job ->> 'on_duplicate';
    select array_agg((d.value #>> '{}')::bigint) filter (where jsonb_typeof(d.value) = 'number'), array_agg(d.value #>> '{}') filter (where jsonb_typeof(d.value) <> 'number')
    into v_new.depends_on, v_new.refs
    from pgqueue._elements('depends_on', job -> 'depends_on') d(value);
    v_new.on_parent_failure := job ->> 'on_parent_failure';
    v_new.on_success := nullif(job -> 'on_success', 'null');
    v_new.on_error := nullif(job -> 'on_error', 'null');
    v_new.ref := job ->> 'ref';
    perform pgqueue._check_flow(v_new.unique_key, v_unique_by, job ->> 'unique_until', v_new.unique_for, v_new.on_duplicate, v_new.depends_on,
      v_new.on_parent_failure, v_new.on_success, v_new.on_error);
    v_new.unique_key := coalesce(v_new.unique_key, pgqueue._derived_key(v_new.kind, v_new.args, v_unique_by));
    v_new.unique_until := case when v_new.unique_for is not null then 'period' when job ->> 'unique_until' = 'start' then 'start' end;
  end if;
  v_new.traits := pgqueue._traits(v_new.unique_key, v_new.group_key, v_new.timeout, v_new.heartbeat, v_new.expires_at);
  return v_new;
end $$;

-- source: sql/functions/private/_new_sql_job.sql
-- The job of a script or a query: written like any other, and put into the inbox of its owner, or where it waits for others. What the script or query has of its own is there already: a job
-- whose parents have failed ends here. Refused when its queue is full.
create function pgqueue._new_sql_job(
  id bigint,
  kind text,
  args jsonb,
  queue text,
  owner text,
  priority integer,
  traits integer,
  expires_at timestamptz,
  depends_on bigint[],
  on_parent_failure text,
  on_success jsonb,
  on_error jsonb) returns void
language plpgsql
as $$
#variable_conflict use_variable
begin
  if num_nonnulls(depends_on, on_success, on_error) > 0 then
    perform pgqueue._store_jobs(array[(
      id, kind, args, queue, priority, pgqueue._now(), null, owner, null, null, expires_at, null, null, null, 128 | traits, null, null, null, depends_on, null,
      on_parent_failure, on_success, on_error, null)::pgqueue.new_job], pgqueue._now());
    if exists (select from pgqueue.dependent d where d.job_id = id) then
      return;
    end if;
  else
    insert into pgqueue.job (id, created_at, expires_at, priority, queue, kind, group_key, args)
    values (id, pgqueue._now(), expires_at, priority, queue, kind, owner, args);
    if expires_at is not null then
      insert into pgqueue.deadline (expires_at, job_id) values (expires_at, id);
    end if;
    insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
    values (id, id, 130 | traits | case when expires_at is null then 0 else 16 end, priority, 0, queue, owner);
    perform pgqueue._open_lane(queue, priority::smallint, true);
    perform pgqueue._wake(queue);
  end if;
  if pg_sequence_last_value('pgqueue.bounded') is not null then
    perform pgqueue._refuse_if_full(queue, array[id]);
  end if;
end $$;

-- source: sql/functions/private/_next_in_window.sql
-- Drops the first lane of the window that _pick_wide remembers, and gives the next; nothing when there is none or its queue is paused.
create function pgqueue._next_in_window() returns setof pgqueue.lane_in_view
language plpgsql
as $$
declare
  v_window text[] := string_to_array(current_setting('pgqueue.view', true), E'\x1e');
  v_lane text[] := string_to_array(v_window[4], E'\x1f');
begin
  if v_lane is null then
    return;
  end if;
  perform set_config('pgqueue.view', array_to_string(v_window[:2] || v_window[4:], E'\x1e'), false);
  return query select * from pgqueue._lane(v_lane[1], v_lane[2]::smallint);
end $$;

-- source: sql/functions/private/_next_slice.sql
-- Remembers where a slice ended; after one that was not full, the table begins again.
create function pgqueue._next_slice(purpose text, jobs bigint[], size integer) returns void
language plpgsql
as $$
begin
  perform set_config('pgqueue.slice_' || purpose, case when cardinality(jobs) < size then '0' else jobs[size]::text end, false);
end $$;

-- source: sql/functions/private/_next_tick.sql
-- The first tick after a moment, null when there is none any more. Intervals are counted from `anchor`, so that whoever asks gets the same ticks.
create function pgqueue._next_tick(cron text, time_zone text, after timestamptz, anchor timestamptz) returns timestamptz
language plpgsql
as $$
declare
  v_every interval := pgqueue._cron_every(cron);
  v_anchor timestamptz := coalesce(anchor, timestamptz 'epoch');
  v_length numeric;
  v_spec pgqueue.cron_spec;
begin
  if v_every is not null then
    v_length := extract(epoch from v_every) * 1000000;
    return v_anchor + (floor((extract(epoch from after) - extract(epoch from v_anchor)) * 1000000 / v_length) + 1) * v_length * interval '1 microsecond';
  end if;
  v_spec := pgqueue._cron(cron);
  if v_spec.fixed then
    return pgqueue._cron_fixed(v_spec, time_zone, after);
  end if;
  return pgqueue._cron_elapsed(v_spec, time_zone, after);
end $$;

-- source: sql/functions/private/_no_longer_counted.sql
-- After a change of a queue's settings: owners whose rate was used up are looked at again. When its starts are no longer counted, jobs that have waited, and stand among the blocked until their start is admitted (slot state 4), have the place they kept, as in any
-- queue of slots alone: nobody would ask for their state any more, and they would wait for their own slot. What stands locked is being admitted just now.
create function pgqueue._no_longer_counted(queue text) returns void
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_was record;
begin
  -- Whatever the rates are now: who has none left goes to sleep again.
  update pgqueue.owner_turns t set until = null where t.queue = _no_longer_counted.queue and t.until is not null;
  if (select q.counted from pgqueue.queue q where q.name = _no_longer_counted.queue) then
    return;
  end if;
  with gone as (
    delete from pgqueue.blocked b
    where b.ctid = any(array(
      select b.ctid
      from (select s.job_id from pgqueue.slot s where s.queue = _no_longer_counted.queue and s.state = 4 offset 0) s
      cross join lateral (select b.ctid from pgqueue.blocked b where b.job_id = s.job_id for update skip locked) b))
    returning b.*)
  select array_agg(g.job_id order by g.seq) as jobs, array_agg(g.queue order by g.seq) as queues, array_agg(g.priority order by g.seq) as priorities,
    array_agg(g.attempt order by g.seq) as attempts, array_agg(g.traits order by g.seq) as traits
  into v_was from gone g;
  update pgqueue.slot s set state = 0 where s.job_id = any(v_was.jobs);
  perform pgqueue._enter(v_was.jobs, v_was.queues, v_was.priorities, v_was.attempts, v_was.traits, true);
end $$;

-- source: sql/functions/private/_nobody_sleeps.sql
-- Whether no worker sleeps on a queue: the first probe of _wake, for those who go on without calling it. Inlined: keep it one expression.
create function pgqueue._nobody_sleeps(queue text) returns boolean
language sql volatile
return pg_try_advisory_lock(pgqueue._lock_class('sleep'), hashtext(queue))
  and pg_advisory_unlock(pgqueue._lock_class('sleep'), hashtext(queue));

-- source: sql/functions/private/_nobody_waits.sql
-- Whether no session listens for outcomes: one probe of a lock that listeners share. Two calls at once may take each other for a listener, which costs the
-- second a look. Inlined: keep it one expression.
create function pgqueue._nobody_waits() returns boolean
language sql volatile
return pg_try_advisory_lock(pgqueue._lock_class('wait'), 0) and pg_advisory_unlock(pgqueue._lock_class('wait'), 0);

-- source: sql/functions/private/_not_blocking.sql
-- Of jobs that end those that give up the place in their group: all but those that have failed in a queue where that blocks their group, which keep it (state 3).
create function pgqueue._not_blocking(jobs bigint[], states text[]) returns bigint[]
language plpgsql
as $$
declare
  v_blocking bigint[];
begin
  v_blocking := array(
    select s.job_id from pgqueue.slot s
    where s.job_id = any(array(select e.id from unnest(jobs, states) e(id, state) where e.state = 'failed'))
      and (select q.group_failure from pgqueue.queue q where q.name = s.queue) = 'block' for no key update);
  update pgqueue.slot s set state = 3 where s.job_id = any(v_blocking);
  return array(select e.id from unnest(jobs) e(id) where e.id <> all(v_blocking));
end $$;

-- source: sql/functions/private/_note_backend.sql
-- Writes down which server process runs a job's SQL from now on, and says which one did before unless that run has ended in order.
create function pgqueue._note_backend(
  in job bigint,
  in pid integer,
  in backend_start timestamptz,
  out old_pid integer,
  out old_backend_start timestamptz)
language plpgsql
as $$
begin
  select b.pid, b.backend_start into old_pid, old_backend_start from pgqueue.backend b where b.job_id = _note_backend.job for update;
  if pid is null then
    return;  -- no session could be had: there will only be a failure to record
  end if;
  if backend_start is null then
    perform pgqueue._refuse('PQ001', 'backend_start is null', 'Give the backend_start that pg_stat_activity shows for the session that will run the SQL.');
  end if;
  insert into pgqueue.backend (job_id, pid, backend_start) values (_note_backend.job, _note_backend.pid, _note_backend.backend_start)
  on conflict (job_id) do update set pid = excluded.pid, backend_start = excluded.backend_start;
end $$;

-- source: sql/functions/private/_note_event.sql
-- Notes in a job's history what was done to it from outside, for job_timeline. `event`: a word in the past tense; `data`: an object, whose values people read too.
create function pgqueue._note_event(job bigint, event text, data jsonb) returns void
language plpgsql
as $$
begin
  insert into pgqueue.job_event (job_id, at, event, data) values (_note_event.job, pgqueue._now(), _note_event.event, _note_event.data);
end $$;

-- source: sql/functions/private/_now.sql
-- The one clock. A test may set `pgqueue.now` in its session and every function believes it. Inlined by the planner: keep it one
-- expression, without options that prevent that.
create function pgqueue._now() returns timestamptz
language sql volatile
return coalesce(nullif(current_setting('pgqueue.now', true), '')::timestamptz, clock_timestamp());

-- source: sql/functions/private/_open_gates.sql
-- Ends gates whose batches need wait for nobody any more, and whom nobody else has locked. Those who wait for a gate are told by upkeep: a chain of them would go deep here.
create function pgqueue._open_gates(gates bigint[], queues text[], traits integer[]) returns void
language plpgsql
as $$
begin
  insert into pgqueue.parent_look (seq, job_id, state, low, high, parked)
  select nextval('pgqueue.job_id'), e.id, 'succeeded', 0, 9223372036854775807, false from unnest(gates, _open_gates.traits) e(id, traits) where e.traits & 4096 <> 0;
  perform pgqueue._finish(array_agg(g.id order by g.id), null, null, array_agg(0::smallint), array_agg(g.traits & ~4096 order by g.id), null, null, null, g.forget)
  from (
    select e.id, e.traits, pgqueue._forget((select q.history from pgqueue.queue q where q.name = e.queue)) as forget
    from unnest(gates, queues, _open_gates.traits) e(id, queue, traits)) g
  group by g.forget;
end $$;

-- source: sql/functions/private/_open_lane.sql
-- Makes a lane known to claims. Written only when it is not seen, and without a unique constraint: were there one, an uncommitted first
-- enqueue into a lane would make every other enqueue into it wait for that transaction's end. Remembers for _lane_known that it is there.
create function pgqueue._open_lane(queue text, priority smallint, grouped boolean) returns void
language plpgsql
as $$
begin
  if not exists (
    select from pgqueue.lane l
    where l.queue = _open_lane.queue and l.priority = _open_lane.priority and l.grouped >= _open_lane.grouped) then
    insert into pgqueue.lane (queue, priority, grouped) values (_open_lane.queue, _open_lane.priority, _open_lane.grouped);
  end if;
  perform set_config('pgqueue.lane_' || (hashtextextended(queue, priority::bigint) & 255)::text,
    priority::text || E'\x1f' || pg_relation_filenode('pgqueue.lane')::text || E'\x1f' || queue, false);
end $$;

-- source: sql/functions/private/_owners_start.sql
-- What _starts does for the owners of one lease: notes the starts of those who have a rate. As in _groups_start, with the time of the lease, which is never before the one by which the turn was given.
create function pgqueue._owners_start(lease pgqueue.lease, settings pgqueue.queue) returns void
language plpgsql
as $$
begin
  with started as (
    update pgqueue.turn t set traits = t.traits & ~16384
    where t.job_id = any((lease).job_ids) and t.traits & 16384 <> 0
    returning t.owner),
  grouped as materialized (
    select s.owner, count(*) as jobs,
      case when (settings).own_groups then (
        select g from pgqueue.group_setting g where g.queue = (lease).queue and g.group_key = s.owner) end as own
    from started s group by s.owner)
  insert into pgqueue.group_start (queue, group_key, started_at, jobs, expires_at)
  select (lease).queue, g.owner, (lease).claimed_at, g.jobs, (lease).claimed_at + coalesce((g.own).rate_period, (settings).group_rate_period, '1 second')
  from grouped g;
end $$;

-- source: sql/functions/private/_page_of_final.sql
-- Ids for jobs(): final jobs in one state, newest first, among the newest `far` below `before`. Those that have succeeded are most of all jobs: where a filter
-- needs the job row, that comes first and its outcome is looked up; the unsuccessful have an index of their own.
create function pgqueue._page_of_final(queue text, kind text, state text, before bigint, far integer, most integer) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_state pgqueue.final_state := state::pgqueue.final_state;
begin
  if v_state = 'succeeded' and num_nonnulls(queue, kind) = 0 then
    return array(
      select o.job_id from pgqueue.outcome o where o.job_id < before and o.state = v_state order by o.job_id desc limit most);
  elsif v_state = 'succeeded' then
    return array(
      select j.id
      from (select j.id, j.queue, j.kind from pgqueue.job j where j.id < before order by j.id desc limit far) j
      where (_page_of_final.queue is null or j.queue = _page_of_final.queue) and (_page_of_final.kind is null or j.kind = _page_of_final.kind)
        and (select o.state from pgqueue.outcome o where o.job_id = j.id) = v_state
      order by j.id desc limit most);
  end if;
  return array(
    select o.job_id
    from (
      select o.job_id from pgqueue.outcome o
      where o.job_id < before and o.state <> 'succeeded' and o.state = v_state order by o.job_id desc limit far) o
    where num_nonnulls(_page_of_final.queue, _page_of_final.kind) = 0
      or (select (_page_of_final.queue is null or j.queue = _page_of_final.queue) and (_page_of_final.kind is null or j.kind = _page_of_final.kind)
        from pgqueue.job j where j.id = o.job_id)
    order by o.job_id desc limit most);
end $$;

-- source: sql/functions/private/_page_of_live.sql
-- Ids for jobs(): live jobs in one state, newest first, from the places where such stand, each walked down by id. In ready, first turns stand in their lanes, in
-- the order of their ids; the newest `most` are in the `most` lanes whose first is the newest. Later turns have an index by id.
create function pgqueue._page_of_live(queue text, kind text, state text, before bigint, far integer, most integer) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
begin
  if state = 'scheduled' then
    return array(
      select w.job_id
      from (select w.job_id, w.queue from pgqueue.scheduled w where w.job_id < before order by w.job_id desc limit far) w
      where (_page_of_live.queue is null or w.queue = _page_of_live.queue)
        and (_page_of_live.kind is null or (select j.kind from pgqueue.job j where j.id = w.job_id) = _page_of_live.kind)
      order by w.job_id desc limit most);
  elsif state = 'held' then
    return array(
      select w.job_id
      from (
        (select w.job_id, w.queue from pgqueue.blocked w where w.job_id < before order by w.job_id desc limit far)
        union all
        (select w.job_id, w.queue from pgqueue.held w where w.job_id < before order by w.job_id desc limit far)
        union all
        (select w.job_id, w.queue from pgqueue.dependent w where w.job_id < before order by w.job_id desc limit far)) w
      where (_page_of_live.queue is null or w.queue = _page_of_live.queue)
        and (_page_of_live.kind is null or (select j.kind from pgqueue.job j where j.id = w.job_id) = _page_of_live.kind)
      order by w.job_id desc limit most);
  elsif state = 'running' then
    return array(
      select e.id
      from pgqueue.lease l cross join unnest(l.job_ids) e(id)
      where e.id < before and (_page_of_live.queue is null or l.queue = _page_of_live.queue)
        and (_page_of_live.kind is null or (select j.kind from pgqueue.job j where j.id = e.id) = _page_of_live.kind)
      order by e.id desc limit most);
  end if;
  return array(
    with lane as materialized (
      select h.queue, h.priority
      from (
        select l.queue, l.priority, (
          select w.seq from pgqueue.ready w
          where w.queue = l.queue and w.priority = l.priority and w.seq < before and w.seq = w.job_id order by w.seq desc limit 1) as newest
        from (select distinct l.queue, l.priority from pgqueue.lane l where _page_of_live.queue is null or l.queue = _page_of_live.queue) l) h
      where h.newest is not null
      order by h.newest desc limit case when _page_of_live.kind is null then most end),
    place as (
      select w.job_id
      from lane l
      cross join lateral (
        select w.job_id from pgqueue.ready w
        where w.queue = l.queue and w.priority = l.priority and w.seq < before and w.seq = w.job_id
        order by w.seq desc limit case when _page_of_live.kind is null then most else far end) w
      union all
      (select w.job_id
        from (select w.job_id, w.queue from pgqueue.ready w where w.job_id < before and w.seq <> w.job_id order by w.job_id desc limit far) w
        where _page_of_live.queue is null or w.queue = _page_of_live.queue
        limit case when _page_of_live.kind is null then most end)
      union all
      (select w.job_id
        from (select w.job_id, w.queue from pgqueue.arrival w where w.job_id < before order by w.job_id desc limit far) w
        where _page_of_live.queue is null or w.queue = _page_of_live.queue
        limit case when _page_of_live.kind is null then most end)
      union all
      (select w.job_id
        from (select w.job_id, w.queue from pgqueue.suspect w where w.job_id < before order by w.job_id desc limit far) w
        where _page_of_live.queue is null or w.queue = _page_of_live.queue
        limit case when _page_of_live.kind is null then most end)
      union all
      (select w.job_id
        from (select w.job_id, w.queue from pgqueue.line w where w.job_id < before order by w.job_id desc limit far) w
        where _page_of_live.queue is null or w.queue = _page_of_live.queue
        limit case when _page_of_live.kind is null then most end))
    select p.job_id
    from (select p.job_id from place p order by p.job_id desc limit far) p
    where _page_of_live.kind is null or (select j.kind from pgqueue.job j where j.id = p.job_id) = _page_of_live.kind
    order by p.job_id desc limit most);
end $$;

-- source: sql/functions/private/_param_text.sql
-- A JSON value as the text of a value of this type; null is null. Arrays are arrays where the type is one, and documents otherwise.
create function pgqueue._param_text(value jsonb, type text) returns text
language plpgsql immutable
as $$
begin
  return case
    when value is null or value = 'null' then null
    when type in ('json', 'jsonb') then value::text
    when jsonb_typeof(value) = 'array' and type like '%[]' then '{' || coalesce((
      select string_agg(case jsonb_typeof(e.value)
        when 'null' then 'NULL'
        when 'array' then pgqueue._param_text(e.value, type)
        else '"' || replace(replace(e.value #>> '{}', '\', '\\'), '"', '\"') || '"' end, ',' order by e.nth)
      from jsonb_array_elements(value) with ordinality e(value, nth)), '') || '}'
    else value #>> '{}' end;
end $$;

-- source: sql/functions/private/_parents_ended.sql
-- The part of the final transition that belongs to jobs others wait for. Children are told at once as far as a thousand of them go; upkeep tells the rest, those that are locked just
-- now, and those that wait for so many parents that every settle would meet at their row.
create function pgqueue._parents_ended(jobs bigint[], states text[], traits integer[]) returns void
language plpgsql
as $$
declare
  v_parents bigint[];
  v_states text[];
begin
  select array_agg(e.id order by e.id), array_agg(coalesce(e.state, 'succeeded') order by e.id) into v_parents, v_states
  from unnest(jobs, states, traits) e(id, state, traits) where e.traits & 4096 <> 0;
  perform pgqueue._release(v_parents, v_states, array_fill(0::bigint, array[cardinality(v_parents)]),
    array_fill(9223372036854775807, array[cardinality(v_parents)]), 1000, 1000, false);
end $$;

-- source: sql/functions/private/_parents_of.sql
-- The ids in depends_on of a job or batch, sorted; null when it waits for none.
create function pgqueue._parents_of(job bigint) returns bigint[]
language plpgsql
as $$
declare
  v_parents bigint[];
begin
  select j.depends_on into v_parents from pgqueue.job j where j.id = job;
  if not found then
    select j.depends_on into v_parents
    from pgqueue.batch b left join lateral (select j.depends_on from pgqueue.job j where j.id = b.gate offset 0) j on true where b.id = job;
  end if;
  if not found then
    perform pgqueue._unknown_job(job, 'It was never enqueued, its transaction was rolled back, it is past its retention, or its queue keeps no history.');
  end if;
  return v_parents;
end $$;

-- source: sql/functions/private/_percentile.sql
-- The time below which this part of what was counted lies, read off a distribution by powers of two of a millisecond (see tables/metric.sql). Inside a bucket it is interpolated, so it is
-- off by less than half of itself or twice itself at worst; never above the longest there was.
create function pgqueue._percentile(buckets bigint[], part float8, longest interval) returns interval
language plpgsql immutable
as $$
declare
  v_wanted float8 := part * (select sum(n) from unnest(buckets) n);
  v_below bigint := 0;
  v_low float8;
begin
  for v_bucket in 1..coalesce(cardinality(buckets), 0) loop
    if buckets[v_bucket] > 0 and v_below + buckets[v_bucket] >= v_wanted then
      v_low := case v_bucket when 1 then 0 else 2 ^ (v_bucket - 2) end;
      return least(longest, make_interval(secs => (v_low + (2 ^ (v_bucket - 1) - v_low) * (v_wanted - v_below) / buckets[v_bucket]) / 1000));
    end if;
    v_below := v_below + buckets[v_bucket];
  end loop;
  return null;
end $$;

-- source: sql/functions/private/_pick.sql
-- Addresses of up to n rows of ready from these lanes, taken in their order, and locked; and the number of the first lane that had any. All the lanes in one statement, each from its cursor: the
-- limit ends it at the lane that fills it. Sweeps are those of claim, lane by lane; of more lanes than there are places for cursors, those that had work are
-- remembered. Lanes with limits or groups go one by one.
create function pgqueue._pick(
  in lanes pgqueue.lane_in_view[],
  in n integer,
  in urgent boolean,
  out picked tid[],
  out first_lane bigint)
language plpgsql
as $$
declare
  v_clock float8 := date_part('epoch', clock_timestamp());
  v_older tid[];
  v_seen bigint[];
  v_at bigint[];
  v_last bigint;
  v_back boolean := false;
begin
  if exists (select from unnest(lanes) l where l.grouped or l.max_running is not null) then
    picked := pgqueue._pick_limited(lanes, n, urgent);
    return;
  end if;
  select array_agg(p.ctid), array_agg(p.seq), array_agg(p.ord) into picked, v_seen, v_at
  from (
    select r.ctid, r.seq, l.ord
    from unnest(lanes) with ordinality l(queue, priority, grouped, max_running, forget, special, floor, expires, ord)
    cross join lateral (
      select r.ctid, r.seq from pgqueue.ready r
      where r.queue = l.queue and r.priority = l.priority and r.seq >= case when v_clock > l.expires + 1 and not urgent then 0 else l.floor end
      order by r.seq limit n for update skip locked) r
    limit n) p;
  v_last := case when cardinality(v_at) = n then v_at[n] else cardinality(lanes) end;

  if coalesce(cardinality(picked), 0) < n and not (urgent and picked is not null) then
    v_older := array(
      select r.ctid
      from unnest(lanes) l
      cross join lateral (
        select r.ctid from pgqueue.ready r
        where r.queue = l.queue and r.priority = l.priority and r.seq < l.floor
        order by r.seq limit n for update skip locked) r
      where l.floor > 0 and (urgent or v_clock between l.expires and l.expires + 1)
      limit n - coalesce(cardinality(picked), 0));
    picked := v_older || picked;
    v_back := coalesce(cardinality(picked), 0) < n;
  end if;

  perform set_config(pgqueue._cursor_name('ready', l.queue, l.priority),
    pgqueue._cursor_text('ready', l.queue, l.priority, coalesce(l.seen, (select s.last_value from pgqueue.job_id s)),
      case when l.swept then pgqueue._sweep_again(v_clock) else l.expires end), false)
  from (
    select l.queue, l.priority, l.expires, s.seen, v_back and (urgent or v_clock > l.expires) or not urgent and v_clock > l.expires + 1 as swept
    from unnest(lanes) with ordinality l(queue, priority, grouped, max_running, forget, special, floor, expires, ord)
    left join (select e.at, min(e.seq) as seen from unnest(v_at, v_seen) e(at, seq) group by e.at) s on s.at = l.ord
    where l.ord <= v_last) l
  where l.seen is not null or l.swept and cardinality(lanes) <= 256;
  first_lane := v_at[1];
end $$;

-- source: sql/functions/private/_pick_limited.sql
-- As _pick, where some of the lanes have groups, which are admitted first, or belong to queues with max_running, whose room is counted under the
-- queue's limiter, or to owners who take turns. All limiters now and in one order: claims that see other lanes would meet them in another, and deadlock.
create function pgqueue._pick_limited(lanes pgqueue.lane_in_view[], n integer, urgent boolean) returns tid[]
language plpgsql
as $$
declare
  v_lane pgqueue.lane_in_view;
  v_picked tid[];
  v_more tid[];
  v_room jsonb := jsonb_build_object();
  v_need integer;
  v_left integer := n;
  v_admitted text[] := array[]::text[];
  v_queue text;
begin
  perform from pgqueue.limiter l
  where l.queue = any(array(select v.queue from unnest(lanes) v where v.max_running is not null))
  order by l.queue for no key update;
  foreach v_lane in array lanes loop
    v_need := v_left;
    if v_lane.max_running is not null then
      if not v_room ? v_lane.queue then
        v_room := v_room || jsonb_build_object(v_lane.queue, pgqueue._room(v_lane.queue, v_lane.max_running));
      end if;
      v_need := least(v_need, (v_room ->> v_lane.queue)::integer);
      continue when v_need <= 0;
    end if;
    if v_lane.grouped and v_lane.queue <> all(v_admitted) then
      perform pgqueue._admit(v_lane.queue, least(greatest(2 * v_need, 100), 1000));
      v_admitted := v_admitted || v_lane.queue;
      v_more := pgqueue._pick_turns(v_lane.queue, v_need);
      if v_more is not null then
        v_picked := v_picked || v_more;
        v_left := v_left - cardinality(v_more);
        v_need := v_need - cardinality(v_more);
        if v_room ? v_lane.queue then
          v_room := v_room || jsonb_build_object(v_lane.queue, (v_room ->> v_lane.queue)::integer - cardinality(v_more));
        end if;
        exit when v_left <= 0;
        continue when v_need <= 0;
      end if;
    end if;
    v_lane.grouped := false;
    v_lane.max_running := null;
    v_more := (pgqueue._pick(array[v_lane], v_need, urgent)).picked;
    v_picked := v_picked || v_more;
    v_left := v_left - coalesce(cardinality(v_more), 0);
    if v_room ? v_lane.queue then
      v_room := v_room || jsonb_build_object(v_lane.queue, (v_room ->> v_lane.queue)::integer - coalesce(cardinality(v_more), 0));
    end if;
    exit when v_left <= 0;
  end loop;
  foreach v_queue in array v_admitted loop
    perform pgqueue._forget_owners(v_queue);
  end loop;
  return v_picked;
end $$;

-- source: sql/functions/private/_pick_turns.sql
-- Gives turns to owners: up to n jobs of a queue leave the line and are made ready, to be taken by the same claim. Returns their addresses in ready. The next turn is
-- for the owner that has had the fewest since the queue was last idle, of those for who came first; inside an owner it is by priority and id. An owner has as many turns
-- at a time as `group_limit` says, and one of them with a script.
--
-- Turns are counted in millionths: one of an owner with weight w costs the w-th part of a turn, and what the division leaves over is kept for the next. So after any number of turns
-- the shares are exact, for each weight; and a weight that is changed counts for the turns from then on, as what has been had is not counted anew.
--
-- Exact because an owner's row is locked while its turns are counted and given: in one statement, which skips what another claim has locked, and what the lock guards is
-- read in the next, which sees what whoever held it before has committed. So nothing is waited for;
-- a job that is just being cancelled is passed over.
--
-- An owner with a rate that is used up sleeps: it is out of the index in which the next are looked up until the first of its starts leaves the window, when upkeep has it looked at again
-- (_duty_rates, _admit_groups). So owners that may not start anything are not looked at by each claim, however many they are. What has its turn and has not been noted as a start
-- yet has trait 16384 in `turn`.
create function pgqueue._pick_turns(queue text, n integer) returns tid[]
language plpgsql
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
as $$
declare
  c_turn constant bigint := 1000000;
  v_limit integer;
  v_own boolean;
  v_rate integer;
  v_period interval;
  v_now timestamptz;
  v_places tid[];
  v_owners text[];
  v_single boolean[];
  v_turns bigint[];
  v_rests bigint[];
  v_picked tid[];
  v_most integer := n;
  v_tried text[] := array[]::text[];
begin
  select q.group_limit, q.own_groups, q.group_rate_limit, coalesce(q.group_rate_period, '1 second') into v_limit, v_own, v_rate, v_period
  from pgqueue.queue q where q.name = _pick_turns.queue;
  v_own := coalesce(v_own, false);
  -- Another round, with more owners, only when all it found were put to sleep, or have jobs at the head that others have locked: a cancel in an open transaction is not to keep the turns of everybody.
  for v_round in 1..1000 loop
    select array_agg(p.ctid), array_agg(p.owner), array_agg(p.single), array_agg(p.turns), array_agg(p.rest) into v_places, v_owners, v_single, v_turns, v_rests
    from (
      select t.ctid, t.owner, t.turns, t.rest, l.traits & 256 <> 0 as single
      from pgqueue.owner_turns t
      cross join lateral (
        select l.traits from pgqueue.line l
        where l.queue = t.queue and l.owner = t.owner order by l.queue, l.owner, l.priority desc, l.job_id limit 1) l
      where t.queue = _pick_turns.queue and t.until is null and t.owner <> all(v_tried) and case
        when l.traits & 256 <> 0 and exists (select from pgqueue.turn w where w.queue = t.queue and w.owner = t.owner and w.traits & 256 <> 0) then false
        when v_limit is null and not v_own then true
        else coalesce(
          coalesce(case when v_own then (select g.group_limit from pgqueue.group_setting g where g.queue = t.queue and g.group_key = t.owner) end, v_limit)
            > (select count(*) from pgqueue.turn w where w.queue = t.queue and w.owner = t.owner), true) end
      order by t.queue, t.turns, t.arrived
      limit v_most for no key update of t skip locked) p;
    if v_owners is null then
      return null;
    end if;

    v_now := pgqueue._now();
    with known as materialized (
      select o.owner, o.single, o.turns, o.rest, o.rank, o.place,
        case when v_own then (select g from pgqueue.group_setting g where g.queue = _pick_turns.queue and g.group_key = o.owner) end as own
      from unnest(v_owners, v_single, v_turns, v_rests, v_places) with ordinality o(owner, single, turns, rest, place, rank)),
    place as materialized (
      select k.owner, k.turns, k.rest, k.rank, k.place, coalesce((k.own).weight, 1) as weight, r.room, r.first + r.period as due,
        least(case when k.single then 1 else n end, r.room, case when coalesce((k.own).group_limit, v_limit) is not null then
          greatest(coalesce((k.own).group_limit, v_limit)
            - (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = k.owner), 0) end) as free,
        (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = k.owner and w.traits & 256 <> 0) as scripts
      from known k
      cross join lateral (
        select s.period, case when s.rate is not null then greatest(s.rate - (
            select coalesce(sum(g.jobs), 0) from pgqueue.group_start g
            where g.queue = _pick_turns.queue and g.group_key = k.owner and g.started_at > v_now - s.period) - (
            select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = k.owner and w.traits & 16384 <> 0), 0) end as room,
          case when s.rate is not null then coalesce((
            select g.started_at from pgqueue.group_start g
            where g.queue = _pick_turns.queue and g.group_key = k.owner and g.started_at > v_now - s.period
            order by g.queue, g.group_key, g.started_at limit 1), v_now) end as first
        from (select coalesce((k.own).rate_limit, v_rate) as rate, coalesce((k.own).rate_period, v_period) as period offset 0) s offset 0) r),
    head as materialized (
      select h.place, p.turns + (p.rest + (h.nth - 1) * c_turn) / p.weight as turns, p.rank, h.nth
      from place p
      cross join lateral (
        select l.place, row_number() over w as nth, count(*) filter (where l.traits & 256 <> 0) over w as scripts, l.traits
        from (
          select l.ctid as place, l.job_id, l.priority, l.traits from pgqueue.line l
          where l.queue = _pick_turns.queue and l.owner = p.owner
          order by l.queue, l.owner, l.priority desc, l.job_id limit least(p.free, n)) l
        window w as (order by l.priority desc, l.job_id)) h
      where h.traits & 256 = 0 or p.scripts + h.scripts = 1),
    gone as (
      delete from pgqueue.line l
      where l.ctid = any(array(
        select l.ctid from pgqueue.line l
        where l.ctid = any(array(select h.place from head h order by h.turns, h.rank, h.nth limit n)) for update skip locked))
      returning l.job_id, l.traits & ~16384 as traits, l.priority, l.attempt, l.owner),
    noted as materialized (
      select g.job_id, g.priority, g.attempt, g.owner,
        g.traits | case when (v_rate is not null or v_own) and (select p.room from place p where p.owner = g.owner) is not null then 16384 else 0 end as traits
      from gone g),
    given as (
      insert into pgqueue.turn (job_id, traits, queue, owner) select g.job_id, g.traits, _pick_turns.queue, g.owner from noted g),
    counted as materialized (
      select p.place, p.owner, p.weight, p.rest + c_turn * g.jobs as rest,
        case when p.room <= g.jobs then p.due end as until
      from place p
      cross join lateral (select count(*) as jobs from gone g where g.owner = p.owner) g),
    changed as (
      update pgqueue.owner_turns t set turns = t.turns + c.rest / c.weight, rest = c.rest % c.weight, until = c.until
      from counted c where t.ctid = c.place),
    asleep as (
      insert into pgqueue.group_wait (at, queue, group_key) select c.until, _pick_turns.queue, c.owner from counted c where c.until is not null),
    made as (
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      select nextval('pgqueue.job_id'), g.job_id, g.traits, g.priority, g.attempt, _pick_turns.queue
      from noted g
      returning ctid)
    select array_agg(m.ctid) into v_picked from made m;
    exit when v_picked is not null;
    v_tried := v_tried || v_owners;
    v_most := greatest(least(4 * v_most, 1000), n);
  end loop;
  return v_picked;
end $$;

-- source: sql/functions/private/_pick_wide.sql
-- As _pick, for many queues or lanes. Listing and probing thousands of lanes at every claim would cost more than the jobs: so the session remembers
-- a window, the first lanes that had work and those after them, and looks no further while it has some, a few lanes at a time. It expires after twenty
-- times what the listing cost: then a lane outside of it that has better work is found. A claim that finds nothing in the window, or is urgent, lists everything. Where
-- anything has limits there is no window, since limiters must be met in one order.
create function pgqueue._pick_wide(queues text[], n integer, urgent boolean) returns tid[]
language plpgsql
as $$
declare
  c_window constant integer := 256;
  c_step constant integer := 8;
  v_clock float8 := date_part('epoch', clock_timestamp());
  v_whose text := hash_array_extended(queues, 0)::text;
  v_setting text := coalesce(current_setting('pgqueue.view', true), '');
  v_hint text[];
  v_at integer := 3;
  v_lanes pgqueue.lane_in_view[];
  v_picked tid[];
  v_first bigint;
begin
  if pgqueue._window(v_setting, queues, v_clock) is not null and not urgent then
    v_hint := string_to_array(v_setting, E'\x1e');
    while v_at <= cardinality(v_hint) loop
      v_lanes := array(
        with glance as materialized (
          select w.parts[1] as queue, w.parts[2]::smallint as priority, w.ord,
            current_setting(pgqueue._cursor_name('ready', w.parts[1], w.parts[2]::smallint), true) as cursor,
            pgqueue._cursor_owner('ready', w.parts[1], w.parts[2]::smallint) as owner
          from (
            select string_to_array(e.lane, E'\x1f') as parts, e.ord from unnest(v_hint[v_at:v_at + c_step - 1]) with ordinality e(lane, ord) offset 0) w)
        select (g.queue, g.priority, q.paused_at is not null, q.most_running, pgqueue._forget(q.history),
          q.timeout is not null or q.max_attempts is not null,
          pgqueue._floor_of(g.cursor, g.owner), pgqueue._expiry_of(g.cursor, g.owner))::pgqueue.lane_in_view
        from glance g
        left join pgqueue.queue q on q.name = g.queue
        order by g.ord);
      -- One that is paused or limited now is for the whole list to judge.
      exit when exists (select from unnest(v_lanes) l where l.grouped or l.max_running is not null);
      select p.picked, p.first_lane into v_picked, v_first from pgqueue._pick(v_lanes, n, urgent) p;
      if cardinality(v_picked) > 0 then
        -- Short of n: the jobs there are, and the whole list next time.
        perform set_config('pgqueue.view', case
          when cardinality(v_picked) < n then v_whose || E'\x1e0'
          else array_to_string(v_hint[1:2] || v_hint[v_at + v_first::integer - 1:], E'\x1e') end, false);
        return v_picked;
      end if;
      v_at := v_at + c_step;
    end loop;
  end if;

  v_lanes := array(
    select (l.queue, l.priority, l.grouped, l.max_running, l.forget, l.special, l.floor, l.expires)::pgqueue.lane_in_view
    from pgqueue._lanes_ranked(queues) l);
  if cardinality(v_lanes) = 0 then
    return null;
  end if;
  select p.picked, p.first_lane into v_picked, v_first from pgqueue._pick(v_lanes, n, urgent) p;
  if cardinality(v_lanes) <= 32 or exists (select from unnest(v_lanes) l where l.grouped or l.max_running is not null) then
    if pgqueue._has_window(v_setting, queues) then
      perform set_config('pgqueue.view', '', false);
    end if;
  elsif v_first is null or urgent then
    perform set_config('pgqueue.view', v_whose || E'\x1e0', false);
  else
    perform set_config('pgqueue.view', array_to_string(
      array[v_whose, (v_clock + greatest(0.05, 21 * (date_part('epoch', clock_timestamp()) - v_clock)))::text]
        || array(select l.queue || E'\x1f' || l.priority::text from unnest(v_lanes[v_first:v_first + c_window - 1]) l), E'\x1e'), false);
  end if;
  return v_picked;
end $$;

-- source: sql/functions/private/_places.sql
-- How many more jobs of a group may be admitted, in a queue where more than slots is counted. Stable: it sees what the statement sees that asks, under the group's lock, so that each job is either admitted and
-- not started, or started and noted.
--
-- The rate is exact though starts are noted without that lock. A job is admitted only while the starts of the window before, and those admitted that have not started, are fewer than the limit.
-- Take any window of that length, and of the starts in it the job that was admitted last: at its admission each of the others was either not started yet, or had started inside of the window before. So
-- they were fewer than the limit, and with it there are no more than that. Whoever starts twice is admitted twice (_go_back).
create function pgqueue._places(settings pgqueue.queue, key text, now_ timestamptz) returns integer
language plpgsql stable
as $$
declare
  v_own pgqueue.group_setting;
  v_limit integer;
  v_places bigint := 2147483647;
begin
  if (settings).own_groups then
    select * into v_own from pgqueue.group_setting g where g.queue = (settings).name and g.group_key = key;
  end if;
  v_limit := coalesce(v_own.group_limit, (settings).group_limit);
  if v_limit is not null then
    v_places := v_limit - (
      select count(*) from (select from pgqueue.slot s where s.queue = (settings).name and s.group_key = key and s.state <> 4 limit v_limit) s);
  end if;
  if (settings).fair then
    v_limit := coalesce(v_own.weight, 1);
    v_places := least(v_places, v_limit - (
      select count(*) from (select from pgqueue.slot s where s.queue = (settings).name and s.group_key = key and s.state = 0 limit v_limit) s));
  end if;
  v_limit := coalesce(v_own.rate_limit, (settings).group_rate_limit);
  if v_limit is not null and v_places > 0 then
    v_places := least(v_places, v_limit - (
      select count(*) from (select from pgqueue.slot s where s.queue = (settings).name and s.group_key = key and s.state = 0 limit v_limit) s) - (
      select coalesce(sum(s.jobs), 0) from pgqueue.group_start s
      where s.queue = (settings).name and s.group_key = key and s.started_at > now_ - coalesce(v_own.rate_period, (settings).group_rate_period, '1 second')));
  end if;
  return greatest(v_places, 0);
end $$;

-- source: sql/functions/private/_plain_settings.sql
-- What a claim of a plain lane has to know of its queue, in one number: what the lease is to forget, plus 4 when attempts or timeouts have a setting of their own;
-- -1 when the queue is paused or limited, and so not plain. Inlined: keep it one expression.
create function pgqueue._plain_settings(settings pgqueue.queue) returns integer
language sql stable
return case
  when (settings).paused_at is not null or (settings).most_running is not null then -1
  else pgqueue._forget((settings).history) + case when (settings).timeout is null and (settings).max_attempts is null then 0 else 4 end end;

-- source: sql/functions/private/_put_gate.sql
-- Makes a new batch, its rows added, wait for other jobs, by a job that stands for it among those that wait. It does nothing for a batch that is to wait for none; where they have all ended,
-- the batch goes, or is aborted, at once.
create function pgqueue._put_gate(batch pgqueue.batch, depends_on bigint[], on_parent_failure text) returns void
language plpgsql
as $$
declare
  v_gate bigint;
  v_parents bigint[];
begin
  if not (batch).waits then
    return;
  end if;
  v_gate := nextval('pgqueue.job_id');
  v_parents := array(select distinct p from unnest(depends_on) p order by p);
  insert into pgqueue.job (id, created_at, priority, queue, kind, args, depends_on)
  values (v_gate, pgqueue._now(), (batch).priority, (batch).queue, 'rows.gate', jsonb_build_object('batch', (batch).id), v_parents);
  insert into pgqueue.batch_slice (job_id, batch_id) values (v_gate, (batch).id);
  update pgqueue.batch b set gate = v_gate where b.id = (batch).id;
  if cardinality(pgqueue._hold_new(array[(
    v_gate, 'rows.gate', null, (batch).queue, (batch).priority, pgqueue._now(), null, null, null, null, null, null, null, null, 512, null, null, null,
    v_parents, null, on_parent_failure, null, null, null)::pgqueue.new_job], pgqueue._now())) > 0
  then
    perform pgqueue._open_gates(array[v_gate], array[(batch).queue], array[512]);
  end if;
end $$;

-- source: sql/functions/private/_put_schedule.sql
-- Creates a schedule or gives an existing one these settings. What it owes stays owed as long as its times stay: to change the arguments of a schedule must not lose
-- the tick that is due. A pause stays. The row is locked before it is read; upkeep skips it meanwhile.
create function pgqueue._put_schedule(schedule pgqueue.schedule, out change text, out next_run timestamptz)
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_new pgqueue.schedule := schedule;
  v_old pgqueue.schedule;
begin
  v_new.created_at := v_now;
  v_new.updated_at := v_now;
  v_new.next_run := pgqueue._schedule_after(v_new, v_now);
  v_new.due_at := v_new.next_run;
  loop
    insert into pgqueue.schedule select (v_new).* on conflict do nothing;
    if found then
      change := 'added';
      next_run := v_new.next_run;
      return;
    end if;
    select s.* into v_old from pgqueue.schedule s where s.name = v_new.name for update;
    exit when found;
    -- Removed between the two statements: the name is free again.
  end loop;

  if v_new.declared_by is not null and v_old.declared_by is distinct from v_new.declared_by then
    perform pgqueue._refuse('PQ005', format('schedule %L is not declared by %L but %s', v_new.name, v_new.declared_by,
      case when v_old.declared_by is null then 'was made by hand' else format('by %L', v_old.declared_by) end),
      'Give it another name, or remove the other with unschedule.');
  end if;

  v_new.paused_at := v_old.paused_at;
  v_new.created_at := v_old.created_at;
  v_new.last_run := v_old.last_run;
  v_new.last_job := v_old.last_job;
  -- Whoever edits what a program has declared does not take it away from the program.
  v_new.declared_by := coalesce(v_new.declared_by, v_old.declared_by);
  v_new.declared := coalesce(v_new.declared, v_old.declared);
  v_new.updated_at := v_old.updated_at;
  if (v_new.cron, v_new.time_zone, v_new.starts_at, v_new.ends_at) is not distinct from (v_old.cron, v_old.time_zone, v_old.starts_at, v_old.ends_at)
    and v_old.next_run is not null
  then
    v_new.next_run := v_old.next_run;
    v_new.due_at := greatest(v_old.next_run, v_now);  -- upkeep's cursor may be past the tick
  elsif v_new.paused_at is not null then
    v_new.next_run := null;
    v_new.due_at := null;
  end if;
  next_run := v_new.next_run;
  if to_jsonb(v_new) - '{due_at,last_error}'::text[] = to_jsonb(v_old) - '{due_at,last_error}'::text[] then
    change := 'unchanged';
    return;
  end if;
  update pgqueue.schedule s set
    cron = v_new.cron, time_zone = v_new.time_zone, kind = v_new.kind, args = v_new.args, queue = v_new.queue, missed = v_new.missed,
    priority = v_new.priority, unique_key = v_new.unique_key, group_key = v_new.group_key, max_attempts = v_new.max_attempts,
    timeout = v_new.timeout, expires_in = v_new.expires_in, heartbeat = v_new.heartbeat, backoff = v_new.backoff, headers = v_new.headers,
    unique_by = v_new.unique_by, unique_until = v_new.unique_until, unique_for = v_new.unique_for, on_duplicate = v_new.on_duplicate,
    on_success = v_new.on_success, on_error = v_new.on_error, starts_at = v_new.starts_at, ends_at = v_new.ends_at, next_run = v_new.next_run, due_at = v_new.due_at, last_error = null,
    declared_by = v_new.declared_by, declared = v_new.declared, updated_at = v_now
  where s.name = v_new.name;
  change := 'changed';
end $$;

-- source: sql/functions/private/_query_ended.sql
-- The final transition of a query, for the audit trail, and for when its result and the trail itself expire. A query that failed or was cancelled has no result to keep.
create function pgqueue._query_ended(job bigint, state text, reason text) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_ttl interval;
  v_log interval;
  v_error jsonb;
begin
  select coalesce(q.ttl, c.result_ttl), c.log_retention into v_ttl, v_log
  from pgqueue.config c left join pgqueue.query q on q.job_id = job;
  if state = 'failed' then
    v_error := (select e.error from pgqueue.attempt_error e where e.job_id = _query_ended.job order by e.failed_at desc limit 1);
  end if;
  v_ttl := case when state = 'succeeded' then v_ttl else interval '0' end;
  insert into pgqueue.query_run as r (job_id, run, updated_at, ended_at, expires_at, forget_at, outcome, reason, error)
  values (job, 0, v_now, v_now, v_now + v_ttl, v_now + v_log, state::pgqueue.final_state, _query_ended.reason, v_error)
  on conflict (job_id) do update
  set updated_at = v_now, ended_at = coalesce(r.ended_at, v_now), expires_at = excluded.expires_at, forget_at = excluded.forget_at, outcome = excluded.outcome,
    error = coalesce(r.error, excluded.error),
    reason = case when r.error ->> 'type' in ('Timeout', 'ResultTooLarge') and state = 'failed'
      then case r.error ->> 'type' when 'Timeout' then 'timeout' else 'result_too_large' end else excluded.reason end;
end $$;

-- source: sql/functions/private/_query_or_refuse.sql
-- A query as one who may see it sees it: its owner, and whoever shares it.
create function pgqueue._query_or_refuse(id bigint, as_owner text) returns pgqueue.query
language plpgsql
as $$
declare
  v_query pgqueue.query;
begin
  select * into v_query from pgqueue.query q where q.job_id = id;
  if v_query.job_id is null or v_query.owner <> as_owner
    and not exists (select from pgqueue.query_caller c where c.job_id = id and c.owner = as_owner) then
    perform pgqueue._refuse('PQ002', format('query %s not found', coalesce(id::text, 'null')),
      'It was never submitted, its transaction was rolled back, it is past log_retention, or it belongs to another owner.');
  end if;
  return v_query;
end $$;

-- source: sql/functions/private/_queue_settings.sql
-- The settings of a queue as one object, defaults where it has no own.
create function pgqueue._queue_settings(name text) returns jsonb
language sql stable
as $$
  select jsonb_build_object('max_running', q.max_running, 'group_limit', q.group_limit, 'max_attempts', coalesce(q.max_attempts, 5::smallint),
    'timeout', q.timeout, 'backoff', q.backoff, 'retention', coalesce(q.retention, c.retention), 'history', coalesce(q.history, 'all'),
    'rate_limit', q.rate_limit, 'rate_period', q.rate_period, 'group_rate_limit', q.group_rate_limit,
    'group_rate_period', q.group_rate_period, 'fair', q.fair, 'group_failure', q.group_failure,
    'group_order', q.group_order, 'max_queued', q.max_queued, 'ageing', q.ageing,
    'dead_letter_queue', q.dead_letter_queue)
  from pgqueue.config c left join pgqueue.queue q on q.name = _queue_settings.name;
$$;

-- source: sql/functions/private/_queued.sql
-- How many jobs of a queue wait to be started, counted up to `most`: all that are due, wherever they stand, and none that wait for a time, another job or a release. From the session's cursors (see _cursor), so
-- that what has been claimed is not walked again and again.
create function pgqueue._queued(queue text, most integer) returns integer
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_lane record;
  v_start float8;
  v_cursor record;
  v_first bigint;
  v_rows integer;
  v_count integer;
begin
  v_count := (select count(*) from (select from pgqueue.blocked b where b.queue = _queued.queue order by b.queue, b.group_key, b.priority desc, b.seq limit most) b)
    + (select count(*) from (select from pgqueue.suspect s where s.queue = _queued.queue order by s.queue, s.seq limit most) s)
    + (select count(*) from (select from pgqueue.line l where l.queue = _queued.queue order by l.queue, l.owner, l.priority desc, l.job_id limit most) l);
  for v_lane in
    select 'arrival' as purpose, 0 as priority
    union all select 'ready', l.priority from (select distinct l.priority from pgqueue.lane l where l.queue = _queued.queue) l
  loop
    exit when v_count >= most;
    v_start := date_part('epoch', clock_timestamp());
    select * into v_cursor from pgqueue._cursor(v_lane.purpose, _queued.queue, v_lane.priority);
    if v_start >= v_cursor.expires then
      v_cursor.floor := 0;
    end if;
    if v_lane.purpose = 'ready' then
      select min(r.seq), count(*) into v_first, v_rows
      from (
        select r.seq from pgqueue.ready r
        where r.queue = _queued.queue and r.priority = v_lane.priority and r.seq >= v_cursor.floor order by r.seq limit most - v_count) r;
    else
      select min(a.seq), count(a.job_id) into v_first, v_rows
      from (
        select a.seq, a.job_id from pgqueue.arrival a
        where a.queue = _queued.queue and a.seq >= v_cursor.floor order by a.seq limit most - v_count) a;
    end if;
    perform pgqueue._set_cursor(v_lane.purpose, _queued.queue, v_lane.priority, v_first, case when v_start >= v_cursor.expires then v_start end, v_cursor.expires);
    v_count := v_count + v_rows;
  end loop;
  return v_count;
end $$;

-- source: sql/functions/private/_rate_due.sql
-- When a queue whose rate is used up may start a job again; null when it may now.
create function pgqueue._rate_due(queue text) returns timestamptz
language plpgsql
as $$
declare
  v_period interval;
begin
  if pgqueue._rate_room(queue) > 0 then
    return null;
  end if;
  select coalesce(q.rate_period, '1 second') into v_period from pgqueue.queue q where q.name = _rate_due.queue;
  return v_period + (
    select r.started_at from pgqueue.rate_start r
    where r.queue = _rate_due.queue and r.started_at > pgqueue._now() - v_period order by r.queue, r.started_at, r.total limit 1);
end $$;

-- source: sql/functions/private/_rate_room.sql
-- How many more jobs of a queue its rate lets start now. Exact because the calling claim holds the queue's limiter, and notes what it starts (_starts) before it lets go. Who looks at `now` starts
-- later than that, when fewer count: so no window of the period's length, wherever it begins, holds more than the limit. Two looks at the index, however many starts
-- there are, and both at rows inside of the window, which nothing deletes: what has been deleted before it is in nobody's way.
create function pgqueue._rate_room(queue text) returns integer
language plpgsql
as $$
declare
  v_limit integer;
  v_since timestamptz;
  v_used bigint;
begin
  select q.rate_limit, pgqueue._now() - coalesce(q.rate_period, '1 second') into v_limit, v_since from pgqueue.queue q where q.name = _rate_room.queue;
  if v_limit is null then
    return 2147483647;
  end if;
  v_used := (
    select r.total from pgqueue.rate_start r
    where r.queue = _rate_room.queue and r.started_at > v_since order by r.queue desc, r.started_at desc, r.total desc limit 1)
    - (
    select r.total - r.jobs from pgqueue.rate_start r
    where r.queue = _rate_room.queue and r.started_at > v_since order by r.queue, r.started_at, r.total limit 1);
  return greatest(v_limit - coalesce(v_used, 0), 0);
end $$;

-- source: sql/functions/private/_read_filter.sql
-- A filter as the bulk functions take it, checked. One that names nothing is refused, and so is a null: in a filter that a program made, either is more likely a slip than
-- the wish to act on everything. `states`: those the action is about.
create function pgqueue._read_filter(filter jsonb, action text, states text[]) returns pgqueue.job_filter
language plpgsql stable
as $$
declare
  v_hint constant text := 'Keys: queue, kind, state (text or an array), reason, error_type, group_key, unique_key, priority, args and headers (objects that are contained), ids (an array), '
    'before_id, after_id, created_before, created_after, finished_before, finished_after.';
  v_key text;
  v_kind text;
  v_wants text;
  v_state text;
  v_filter pgqueue.job_filter;
  v_problem text;
begin
  if filter is null or jsonb_typeof(filter) <> 'object' then
    perform pgqueue._refuse('PQ001', format('filter is %s, not an object', coalesce(jsonb_typeof(filter), 'null')), v_hint);
  end if;
  if filter = '{}' then
    perform pgqueue._refuse('PQ001', 'filter is empty', 'Name at least one thing, such as {"queue": "mail"}. ' || v_hint);
  end if;
  for v_key, v_kind in select e.key, jsonb_typeof(e.value) from jsonb_each(filter) e loop
    v_wants := case
      when v_key in ('queue', 'kind', 'reason', 'error_type', 'group_key', 'unique_key', 'created_before', 'created_after', 'finished_before', 'finished_after') then 'string'
      when v_key in ('priority', 'before_id', 'after_id') then 'number'
      when v_key in ('args', 'headers') then 'object'
      when v_key = 'ids' then 'array'
      when v_key = 'state' then case when v_kind = 'array' then 'array' else 'string' end
    end;
    if v_wants is null then
      perform pgqueue._refuse('PQ001', format('filter has an unknown key %L', v_key), v_hint);
    elsif v_kind <> v_wants then
      perform pgqueue._refuse('PQ001', format('%s of the filter is %s, not %s', v_key, v_kind, case v_wants when 'string' then 'text' else 'of type ' || v_wants end),
        case v_kind when 'null' then 'Leave out what does not matter.' else v_hint end);
    end if;
  end loop;

  begin
    v_filter.queue := filter ->> 'queue';
    v_filter.kind := filter ->> 'kind';
    v_filter.reason := filter ->> 'reason';
    v_filter.error_type := filter ->> 'error_type';
    v_filter.group_key := filter ->> 'group_key';
    v_filter.unique_key := filter ->> 'unique_key';
    v_filter.priority := (filter ->> 'priority')::integer;
    v_filter.args := filter -> 'args';
    v_filter.headers := filter -> 'headers';
    v_filter.before_id := (filter ->> 'before_id')::bigint;
    v_filter.after_id := (filter ->> 'after_id')::bigint;
    v_filter.created_before := (filter ->> 'created_before')::timestamptz;
    v_filter.created_after := (filter ->> 'created_after')::timestamptz;
    v_filter.finished_before := (filter ->> 'finished_before')::timestamptz;
    v_filter.finished_after := (filter ->> 'finished_after')::timestamptz;
    if filter ? 'ids' then
      if jsonb_array_length(filter -> 'ids') > 100000 then
        perform pgqueue._refuse('PQ001', format('ids has %s elements', jsonb_array_length(filter -> 'ids')), 'Give 100000 at most, and the others in another call.');
      end if;
      if exists (select from jsonb_array_elements(filter -> 'ids') i where jsonb_typeof(i) <> 'number') then
        perform pgqueue._refuse('PQ001', 'ids has an element that is not a number', 'Give ids of jobs, such as [7, 8].');
      end if;
      v_filter.ids := array(select distinct (i #>> '{}')::bigint from jsonb_array_elements(filter -> 'ids') i order by 1);
    end if;
  exception
    when data_exception then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', 'filter: ' || v_problem, v_hint);
  end;

  if filter ? 'state' then
    for v_state in
      select s #>> '{}' from jsonb_array_elements(case jsonb_typeof(filter -> 'state') when 'array' then filter -> 'state' else jsonb_build_array(filter -> 'state') end) s
    loop
      if v_state is null or v_state not in ('held', 'scheduled', 'queued', 'running', 'succeeded', 'failed', 'cancelled') then
        perform pgqueue._refuse('PQ001', format('state %s is unknown', coalesce(quote_literal(v_state), 'null')),
          'States are held, scheduled, queued, running, succeeded, failed and cancelled.');
      elsif v_state <> all(states) then
        perform pgqueue._refuse('PQ001', format('jobs that are %s cannot be %s', v_state, action),
          format('Those that are %s can.%s', array_to_string(states, ', '), case when action = 'deleted' then ' Cancel the others first.' else '' end));
      end if;
      v_filter.states := v_filter.states || v_state;
    end loop;
    if v_filter.states is null then
      perform pgqueue._refuse('PQ001', 'state of the filter is an empty array', 'Name at least one state, or leave it out.');
    end if;
  end if;
  return v_filter;
end $$;

-- source: sql/functions/private/_refuse.sql
-- Every refusal of ours goes through here: the closed set of SQLSTATEs, a message that says what is wrong and a hint on what to do.
--   PQ001 invalid argument · PQ002 unknown job · PQ003 unknown worker · PQ004 stale lease · PQ005 not possible in this state
create function pgqueue._refuse(code text, message text, hint text) returns void
language plpgsql
as $$
begin
  raise exception using errcode = _refuse.code, message = _refuse.message, hint = _refuse.hint;
end $$;

-- source: sql/functions/private/_refuse_circle.sql
-- Refuses elements of one call that wait for each other in a circle. One that is before all it is waited for by is in no circle, so usually one look is enough; else those that wait for
-- nobody are taken away, and those that then wait for nobody, and so on: what remains is, or waits for, a circle. Each arrow is followed once.
create function pgqueue._refuse_circle(jobs pgqueue.new_job[]) returns void
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_count integer := cardinality(jobs);
  v_parents integer[];
  v_children integer[];
  v_first integer[];
  v_waits integer[];
  v_free integer[];
  v_at integer := 1;
  v_child integer;
begin
  with element as materialized (
    select e.ord::integer as ord, e.refs, e.ref
    from unnest(jobs) with ordinality e(id, kind, args, queue, priority, due, unique_key, group_key, max_attempts, timeout, expires_at, heartbeat, backoff,
      headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success, on_error, ref, ord))
  select array_agg(a.parent order by a.parent, a.child), array_agg(a.child order by a.parent, a.child) into v_parents, v_children
  from (
    select distinct p.ord as parent, c.ord as child from element c cross join lateral unnest(c.refs) r(ref) join element p on p.ref = r.ref) a;
  if v_parents is null or not exists (select from unnest(v_parents, v_children) a(parent, child) where a.parent >= a.child) then
    return;
  end if;
  -- Where the arrows of each element begin, how many end at it, and those at which none does.
  v_first := array_fill(0, array[v_count + 1]);
  v_waits := array_fill(0, array[v_count]);
  for i in reverse cardinality(v_parents)..1 loop
    v_first[v_parents[i]] := i;
    v_waits[v_children[i]] := v_waits[v_children[i]] + 1;
  end loop;
  v_free := array(select w.ord::integer from unnest(v_waits) with ordinality w(waits, ord) where w.waits = 0 order by w.ord);
  while v_at <= cardinality(v_free) loop
    for i in v_first[v_free[v_at]]..cardinality(v_parents) loop
      exit when i = 0 or v_parents[i] <> v_free[v_at];
      v_child := v_children[i];
      v_waits[v_child] := v_waits[v_child] - 1;
      if v_waits[v_child] = 0 then
        v_free[cardinality(v_free) + 1] := v_child;
      end if;
    end loop;
    v_at := v_at + 1;
  end loop;
  if cardinality(v_free) < v_count then
    perform pgqueue._refuse('PQ001', format('element %s waits for itself, through its refs', array_position(array(select w > 0 from unnest(v_waits) with ordinality u(w, ord) order by ord), true)),
      'Jobs cannot wait for each other in a circle: leave one of the refs out.');
  end if;
end $$;

-- source: sql/functions/private/_refuse_if_full.sql
-- Refuses jobs that have just been stored in a queue with max_queued, when more are waiting there by now than that. What counts is committed or this transaction's own: so the transactions that are open at a
-- time can each fill what is left, and together more than that; nobody waits for anybody. `jobs`: ids that were drawn; those that found their key held made no job, and are no reason to refuse;
-- nor are those that wait for others, or have ended at once, as theirs had failed.
create function pgqueue._refuse_if_full(queue text, jobs bigint[]) returns void
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_most integer;
begin
  select q.max_queued into v_most from pgqueue.queue q where q.name = _refuse_if_full.queue;
  if v_most is null or not exists (
    select from pgqueue.job j
    where j.id between (select min(i) from unnest(jobs) i) and (select max(i) from unnest(jobs) i) and j.id = any(jobs)
      and (j.depends_on is null
        or (select d.job_id from pgqueue.dependent d where d.job_id = j.id) is null and (select o.job_id from pgqueue.outcome o where o.job_id = j.id) is null)) then
    return;
  end if;
  if pgqueue._queued(queue, v_most + 1) > v_most then
    perform pgqueue._refuse('PQ008', format('queue %s is full: %s jobs may wait in it', queue, v_most),
      'Try again when workers have caught up, or raise max_queued with configure_queue.');
  end if;
end $$;

-- source: sql/functions/private/_release.sql
-- Tells children that parents have ended: those of each parent with ids from lows[i] to highs[i]. The arrays are parallel, a later element of the same parent says how it ended last.
-- Children that wait for nobody any more go on; one whose policy is to be cancelled ends, and so its own children are next: a loop, not a recursion, however long the chain. About
-- `budget` children are looked at, and what is left goes to parent_look. So does what cannot be told now: children that are locked, which nobody here waits for, and those that wait
-- for more than `most` others. The gate of a batch is no job to run: it ends here, and the batch goes. Returns how many were looked at.
--
-- Whoever counts for a child has its row locked, and only then looks what is not counted yet: so nothing counts twice. Locks: children, by skip locked; a settle or cancel has its
-- job locked before, but nothing here waits.
--
-- Joins are nested loops, which look into tables row by row, and the first of them gives its rows in the order of the arrays.
create function pgqueue._release(
  parents bigint[],
  states text[],
  lows bigint[],
  highs bigint[],
  budget integer,
  most integer,
  parked boolean) returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_left integer := budget;
  v_rows integer;
  v_last integer;
  v_parents bigint[];
  v_children bigint[];
  v_states text[];
  v_locked bigint[];
  v_any integer;
  v_busy bigint[];
  v_done bigint := 0;
  v_jobs bigint[];
  v_queues text[];
  v_priorities smallint[];
  v_attempts smallint[];
  v_traits integer[];
  v_dead bigint[];
  v_dead_queues text[];
  v_dead_attempts smallint[];
  v_dead_traits integer[];
begin
  while cardinality(parents) > 0 and v_left > 0 loop
    select array_agg(e.parent), array_agg(e.child), array_agg(e.state), count(*), max(e.ord)
    into v_parents, v_children, v_states, v_rows, v_last
    from (
      select g.ord, g.parent, g.state, d.child_id as child
      from unnest(parents, states, lows, highs) with ordinality g(parent, state, low, high, ord)
      cross join lateral (
        select d.child_id from pgqueue.dependency d
        where d.parent_id = g.parent and d.child_id between g.low and g.high and not d.counted
        order by d.parent_id, d.child_id limit v_left) d
      limit v_left) e;
    if v_rows = v_left then
      lows[v_last] := v_children[v_rows] + 1;
      parents := parents[v_last:];
      states := states[v_last:];
      lows := lows[v_last:];
      highs := highs[v_last:];
    else
      parents := array[]::bigint[];
      states := array[]::text[];
      lows := array[]::bigint[];
      highs := array[]::bigint[];
    end if;
    v_left := v_left - greatest(v_rows, 10);
    v_done := v_done + v_rows;
    continue when v_rows = 0;

    select coalesce(array_agg(l.job_id order by l.job_id), '{}'), bit_or(l.traits) into v_locked, v_any
    from (
      select w.job_id, w.traits from pgqueue.dependent w
      where w.job_id = any(v_children) and (most is null or w.pending <= most) order by w.job_id for update skip locked) l;
    if v_any & 512 <> 0 then
      v_locked := pgqueue._try_gates(v_locked);
    end if;
    v_busy := array(select w.job_id from pgqueue.dependent w where w.job_id = any(v_children) and w.job_id <> all(v_locked));
    if cardinality(v_busy) > 0 then
      insert into pgqueue.parent_look (seq, job_id, state, low, high, parked)
      select nextval('pgqueue.job_id'), e.parent, e.state::pgqueue.final_state, e.child, e.child, _release.parked
      from unnest(v_parents, v_children, v_states) e(parent, child, state) where e.child = any(v_busy);
    end if;
    continue when cardinality(v_locked) = 0;

    with given as materialized (
      select distinct on (e.child, e.parent) e.child, e.parent, e.state
      from unnest(v_parents, v_children, v_states) with ordinality e(parent, child, state, ord)
      where e.child = any(v_locked)
        and (select d.child_id from pgqueue.dependency d where d.parent_id = e.parent and d.child_id = e.child and not d.counted) is not null
      order by e.child, e.parent, e.ord desc),
    judged as materialized (
      select g.child, g.parent, g.state, w.policy, w.pending, w.policy = 'cancel' and bool_or(g.state <> 'succeeded') over (partition by g.child) as dead,
        w.pending - count(*) filter (where g.state = 'succeeded' or w.policy <> 'wait') over (partition by g.child) as pending_now
      from given g
      cross join lateral (select w.policy, w.pending from pgqueue.dependent w where w.job_id = g.child offset 0) w),
    counted as (
      update pgqueue.dependency d set counted = true
      where d.ctid = any(array(
        select d.ctid from judged j
        cross join lateral (select d.ctid from pgqueue.dependency d where d.parent_id = j.parent and d.child_id = j.child offset 0) d
        where not j.dead and j.pending_now > 0 and (j.state = 'succeeded' or j.policy <> 'wait')))),
    -- Addresses of the children, looked up one by one: a join would be planned by what the tables held when they were last analysed.
    found as materialized (
      select c.child, c.dead, c.pending, c.pending_now, w.place
      from (select distinct j.child, j.dead, j.pending, j.pending_now from judged j) c
      cross join lateral (select w.ctid as place from pgqueue.dependent w where w.job_id = c.child offset 0) w),
    waiting as (
      update pgqueue.dependent d set pending = f.pending_now
      from found f where d.ctid = f.place and not f.dead and f.pending_now > 0 and f.pending_now < f.pending),
    gone as materialized (
      delete from pgqueue.dependent d
      using found f
      where d.ctid = f.place and (f.dead or f.pending_now <= 0)
      returning d.*, f.dead),
    later as (
      insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
      select g.run_at, g.job_id, g.traits, g.priority, g.attempt, g.queue from gone g where not g.dead and g.run_at > v_now)
    select array_agg(g.job_id order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.queue order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.priority order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.attempt order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.traits order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.job_id order by g.job_id) filter (where g.dead), array_agg(g.queue order by g.job_id) filter (where g.dead),
      array_agg(g.attempt order by g.job_id) filter (where g.dead), array_agg(g.traits order by g.job_id) filter (where g.dead)
    into v_jobs, v_queues, v_priorities, v_attempts, v_traits, v_dead, v_dead_queues, v_dead_attempts, v_dead_traits
    from gone g;
    if v_any & 512 <> 0 then
      perform pgqueue._open_gates(array_agg(e.id), array_agg(e.queue), array_agg(e.traits)) from unnest(v_jobs, v_queues, v_traits) e(id, queue, traits) where e.traits & 512 <> 0;
      select array_agg(e.id), array_agg(e.queue), array_agg(e.priority), array_agg(e.attempt), array_agg(e.traits) into v_jobs, v_queues, v_priorities, v_attempts, v_traits
      from unnest(v_jobs, v_queues, v_priorities, v_attempts, v_traits) e(id, queue, priority, attempt, traits) where e.traits & 512 = 0;
    end if;
    perform pgqueue._enter(v_jobs, v_queues, v_priorities, v_attempts, v_traits, false);
    continue when v_dead is null;
    perform pgqueue._finish(array_agg(d.id), array_agg('cancelled'::text), array_agg('parent_failed'::text), array_agg(d.attempt), array_agg(d.traits & ~4096),
      null, null, null, d.forget)
    from (
      select e.id, e.attempt, e.traits, pgqueue._forget((select q.history from pgqueue.queue q where q.name = e.queue)) as forget
      from unnest(v_dead, v_dead_queues, v_dead_attempts, v_dead_traits) e(id, queue, attempt, traits)) d
    group by d.forget;
    v_dead := array(select e.id from unnest(v_dead, v_dead_traits) e(id, traits) where e.traits & 4096 <> 0);
    parents := parents || v_dead;
    states := states || array_fill('cancelled'::text, array[cardinality(v_dead)]);
    lows := lows || array_fill(0::bigint, array[cardinality(v_dead)]);
    highs := highs || array_fill(9223372036854775807, array[cardinality(v_dead)]);
  end loop;
  insert into pgqueue.parent_look (seq, job_id, state, low, high, parked)
  select nextval('pgqueue.job_id'), e.parent, e.state::pgqueue.final_state, e.low, e.high, false from unnest(parents, states, lows, highs) e(parent, state, low, high);
  return v_done;
end $$;

-- source: sql/functions/private/_render_sql.sql
-- Fills the tags <%= job_id %> and <%= error_message %> of a fallback in, wherever they stand, in such a way that a message cannot end the literal, name or comment it
-- is put into. In a dollar quote it goes in as it is, and should it hold the quote's tag, the quote gets another one. In plain code it becomes a literal.
create function pgqueue._render_sql(sql text, job bigint, message text) returns text
language plpgsql
as $$
declare
  v_kinds text[];
  v_parts text[];
  v_value text;
  v_open integer;
  v_holds boolean := false;
  v_tag text;
begin
  if sql !~ '<%=\s*(job_id|error_message)\s*%>' then
    return sql;
  end if;
  select p.kinds, p.parts into v_kinds, v_parts from pgqueue._sql_parts(sql) p;
  for i in 1..cardinality(v_kinds) loop
    if v_kinds[i] = 'open' then
      v_open := i;
      v_holds := false;
    elsif v_kinds[i] = 'close' and v_holds then
      v_tag := '$q$';
      while position(v_tag in sql || coalesce(message, '')) > 0 loop
        v_tag := '$q' || length(v_tag)::text || '$';
      end loop;
      v_parts[v_open] := v_tag;
      v_parts[i] := v_tag;
    end if;
    continue when v_kinds[i] not like 'tag:%';
    if v_parts[i] ~ 'job_id' then
      v_parts[i] := job::text;
      continue;
    end if;
    v_value := coalesce(message, '');
    v_holds := v_holds or v_kinds[i] = 'tag:dollar' and position('$' in v_value) > 0;
    v_parts[i] := case v_kinds[i]
      when 'tag:quote' then replace(v_value, '''', '''''')
      when 'tag:escape' then replace(replace(v_value, '\', '\\'), '''', '''''')
      when 'tag:name' then replace(v_value, '"', '""')
      when 'tag:line' then translate(v_value, E'\n\r', '  ')
      when 'tag:comment' then replace(replace(v_value, '*/', '* /'), '/*', '/ *')
      when 'tag:dollar' then v_value
      else quote_literal(v_value) end;
  end loop;
  return array_to_string(v_parts, '');
end $$;

-- source: sql/functions/private/_replace_job.sql
-- An enqueue with on_duplicate replace or debounce whose key another job holds. Returns the job that has the key then: the holder, which waits and has got the new
-- arguments and headers, and with debounce the new time; or the new job, where the holder runs or has ended; null when the key has gone to somebody else meanwhile: the caller looks
-- again. A key held for a period is not taken from a job that runs or has ended: that is what the period is for.
--
-- Locks: the row of the key first, where enqueues that would replace the same job meet, so that none takes the other for a claim; then the job's own where it waits. A claim is
-- waited for, which is short. Whoever has the job's own row never waits for the key's: _finish and _give_up_keys skip it, _retake_key gives up. So these locks close no circle,
-- and until the transaction ends only this one job waits for it.
create function pgqueue._replace_job(new_ pgqueue.new_job, holder bigint, until timestamptz, now_ timestamptz) returns bigint
language plpgsql
as $$
declare
  v_until timestamptz;
  v_kind text;
  v_place record;
  v_was record;
  v_state text;
begin
  select j.kind into v_kind from pgqueue.job j where j.id = holder;
  if v_kind <> (new_).kind then
    perform pgqueue._refuse('PQ005', format('job %s holds the unique key %L and is of kind %s, not %s', holder, (new_).unique_key, v_kind, (new_).kind),
      'Arguments are replaced by those of the same kind: give jobs of another kind another key.');
  end if;
  select k.until into v_until from pgqueue.job_key k
  where k.queue = (new_).queue and k.unique_key = (new_).unique_key and k.job_id = holder for update;
  if not found then
    return null;
  end if;

  for v_look in 1..100 loop
    select h.place into v_place from pgqueue._hold_place(holder) h;
    exit when v_place.place is not null;
    select case when o.job_id is not null then o.state::text when (pgqueue._lease_of(holder)).id is not null then 'running' when j.id is null then 'gone' end
    into v_state
    from (select) one left join pgqueue.outcome o on o.job_id = holder left join pgqueue.job j on j.id = holder;
    continue when v_state is null;
    if v_until > now_ then
      return holder;
    end if;
    update pgqueue.job_key k set job_id = (new_).id, until = _replace_job.until
    where k.queue = (new_).queue and k.unique_key = (new_).unique_key and k.job_id = holder;
    return (new_).id;
  end loop;
  if v_place.place is null then
    perform pgqueue._refuse('PQ005', format('job %s keeps moving', holder), 'Try again.');
  end if;

  update pgqueue.job j set args = (new_).args, headers = (new_).headers where j.id = holder;
  if (new_).on_duplicate <> 'debounce' then
    return holder;
  end if;
  if v_until is not null and until is not null then
    -- Never earlier: a call that had to wait for the job it found may be older than that.
    update pgqueue.job_key k set until = greatest(k.until, _replace_job.until) where k.queue = (new_).queue and k.unique_key = (new_).unique_key;
  end if;
  if v_place.place = 'dependent' then
    update pgqueue.dependent w set run_at = case when (new_).due > now_ then (new_).due end where w.job_id = holder;
  elsif v_place.place = 'scheduled' and (new_).due > now_ then
    -- Another row, not this one with another time: see _hold_place.
    select * into v_was from pgqueue._withdraw(holder);
    perform pgqueue._schedule(array[holder], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], array[(new_).due]);
  elsif v_place.place = 'scheduled' or (new_).due > now_ then
    select * into v_was from pgqueue._withdraw(holder);
    if v_place.place = 'scheduled' then
      perform pgqueue._enter(array[holder], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], false);
    else
      if v_was.traits & 2 <> 0 then
        -- The slot goes by way of the inbox: to hand it on, as _free_slots does, takes the group's lock, until the end of this transaction.
        with gone as (delete from pgqueue.slot s where s.job_id = holder returning s.queue, s.group_key)
        insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
        select nextval('pgqueue.job_id'), 0, 0, 0, g.queue, g.group_key from gone g;
      end if;
      perform pgqueue._schedule(array[holder], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], array[(new_).due]);
    end if;
  end if;
  return holder;
end $$;

-- source: sql/functions/private/_rescue_jobs.sql
-- Jobs whose execution was lost go back to their queue, the attempt unspent; those with `blamed` crashes so far have one more, and fail as worker_lost
-- when that makes too many. A pending cancel is fulfilled instead, and a slice of several rows gives them on to slices of one. The caller has taken them out of their lease.
create function pgqueue._rescue_jobs(
  lease pgqueue.lease,
  jobs bigint[],
  attempts smallint[],
  traits integer[],
  blamed smallint) returns void
language plpgsql
as $$
declare
  v_job record;
  v_now timestamptz := pgqueue._now();
  v_limit smallint;
  v_crashes smallint;
  v_traits integer;
  v_key text;
begin
  select c.max_crashes into v_limit from pgqueue.config c;
  for v_job in
    with job as materialized (
      select j.id, j.queue, j.priority from pgqueue.job j
      where j.id between (select min(i) from unnest(jobs) i) and (select max(i) from unnest(jobs) i) and j.id = any(jobs))
    select e.id, e.attempt, coalesce(e.traits, 0) as traits, j.queue,
      coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = e.id), j.priority) as priority,
      coalesce((select c.crashes from pgqueue.crash c where c.job_id = e.id), 0) as crashes,
      (select r.job_id from pgqueue.cancel_request r where r.job_id = e.id) is not null as asked
    from unnest(jobs, attempts, _rescue_jobs.traits) e(id, attempt, traits)
    join job j on j.id = e.id
    order by e.id
  loop
    v_crashes := v_job.crashes + case when v_job.crashes >= blamed then 1 else 0 end;
    if v_crashes > v_job.crashes then
      insert into pgqueue.attempt_error (job_id, failed_at, worker_id, attempt, reason, error)
      values (v_job.id, v_now, (lease).worker_id, v_job.attempt, 'worker_lost',
        jsonb_build_object('type', 'WorkerLost', 'message', format('worker %s was lost while it held this job; crash %s of %s',
          (lease).worker_id, v_crashes, v_limit)));
    end if;
    if v_job.asked then
      perform pgqueue._finish(array[v_job.id], array['cancelled'], array['cancelled_by_user'], array[v_job.attempt], array[v_job.traits], null,
        (lease).worker_id, (lease).claimed_at, (lease).forget);
      delete from pgqueue.cancel_request r where r.job_id = v_job.id;
    elsif v_job.traits & 512 <> 0 and v_crashes > v_job.crashes and pgqueue._split_slice(v_job.id) then
      perform pgqueue._finish(array[v_job.id], array['cancelled'], array['split'], array[v_job.attempt], array[v_job.traits], null,
        (lease).worker_id, (lease).claimed_at, (lease).forget);
    elsif v_crashes >= v_limit then
      perform pgqueue._finish(array[v_job.id], array['failed'], array['worker_lost'], array[v_job.attempt], array[v_job.traits], null,
        (lease).worker_id, (lease).claimed_at, (lease).forget);
    else
      if v_crashes > v_job.crashes then
        insert into pgqueue.crash (job_id, crashes) values (v_job.id, v_crashes)
        on conflict (job_id) do update set crashes = excluded.crashes;
      end if;
      v_traits := case when v_crashes > v_job.crashes then v_job.traits & ~16 else v_job.traits end | case when v_crashes > 0 then 32 else 0 end;
      v_key := case when v_job.traits & 2049 <> 0 then pgqueue._retake_key(v_job.id) end;
      if v_key is null then
        perform pgqueue._go_back(array[v_job.id], array[v_job.queue], array[v_job.priority], array[v_job.attempt - 1]::smallint[], array[v_traits]);
      elsif v_key = 'uncertain' then
        perform pgqueue._schedule(array[v_job.id], array[v_job.queue], array[v_job.priority], array[v_job.attempt - 1]::smallint[], array[v_traits],
          array[v_now + interval '1 second']);
      else
        perform pgqueue._finish(array[v_job.id], array['cancelled'], array[v_key], array[v_job.attempt], array[v_traits], null,
          (lease).worker_id, (lease).claimed_at, (lease).forget);
      end if;
    end if;
  end loop;
end $$;

-- source: sql/functions/private/_retake_key.sql
-- What becomes of a job with a unique key that goes back to where it waits, having failed, been released or lost its worker: null when it holds its key, or has taken it
-- again; 'superseded' when a live job holds the key, which does the work instead; 'uncertain' when an enqueue of the key is under way. That may take as long as a user's
-- transaction, and a settle does not wait for one: the job is put off for a moment, without its key, and asks again when it is due. The same once ten were found so in one
-- transaction: they would keep a batch for ten milliseconds each.
--
-- Also asked of jobs that keep their key until the end: one whose arguments were replaced while it ran lost it to the job that carries the new ones.
create function pgqueue._retake_key(job bigint) returns text
language plpgsql
set lock_timeout = '10ms'
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_put_off integer := coalesce(nullif(current_setting('pgqueue.put_off', true), '')::integer, 0);
  v_job record;
begin
  perform from pgqueue.job_key k where k.job_id = job for update skip locked;
  if found then
    delete from pgqueue.left_key l where l.job_id = job;
    return null;
  end if;
  if v_put_off >= 10 then
    return 'uncertain';
  end if;
  select j.queue, j.unique_key into v_job from pgqueue.job j where j.id = job;
  if v_job.unique_key is null then
    return null;  -- a query, whose identity others may not join any more
  end if;
  begin
    return case when pgqueue._take_key(v_job.queue, v_job.unique_key, job) <> job then 'superseded' end;
  exception
    when lock_not_available or serialization_failure then
      perform set_config('pgqueue.put_off', (v_put_off + 1)::text, true);
      return 'uncertain';
  end;
end $$;

-- source: sql/functions/private/_retry_plain.sql
-- Of these jobs, runs those again for which nothing is to be asked one by one: no unique key that may be taken, no parents that may live again, no slot that is theirs still, and of no kind that has
-- rules of its own. All at once, so that a redrive of thousands costs as little as their enqueue. The rest is as in retry and reschedule. Returns those that it did, in the order of their times; outcomes that
-- another session has locked are passed over.
create function pgqueue._retry_plain(
  jobs bigint[],
  starts_at timestamptz,
  rate_limit integer,
  rate_period interval) returns bigint[]
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_low bigint;
  v_high bigint;
  v_done bigint[];
  v_part record;
begin
  select min(i), max(i) into v_low, v_high from unnest(jobs) i;
  v_done := array(
    select o.job_id from pgqueue.outcome o
    where o.job_id between v_low and v_high and o.state <> 'succeeded' and o.job_id = any(array(
        select j.id from pgqueue.job j
        where j.id between v_low and v_high and j.id = any(jobs) and j.unique_key is null and j.depends_on is null
          and j.kind not in ('sql.script', 'sql.query', 'rows.slice', 'rows.slow', 'keyed.item')
          and (select s.job_id from pgqueue.slot s where s.job_id = j.id) is null))
    order by o.job_id for update skip locked);
  if cardinality(v_done) = 0 then
    return v_done;
  end if;
  with gone as (
    delete from pgqueue.outcome o
    where o.job_id between v_low and v_high and o.job_id = any(v_done) and o.state <> 'succeeded'
    returning o.job_id, o.state, o.reason, o.attempt, o.finished_at)
  insert into pgqueue.job_event (job_id, at, event, data)
  select g.job_id, v_now, 'retried', jsonb_build_object('state', g.state, 'reason', g.reason, 'attempt', g.attempt, 'finished_at', g.finished_at) from gone g;
  delete from pgqueue.cancel_request c where c.job_id = any(v_done);

  for v_part in
    with due as materialized (
      select e.id, greatest(starts_at + coalesce((extract(epoch from rate_period) * (e.ord - 1) / rate_limit)::float8, 0) * interval '1 second', v_now) as at
      from unnest(v_done) with ordinality e(id, ord)),
    again as materialized (
      select j.id, j.queue, j.priority, d.at,
        pgqueue._traits(null, j.group_key, j.timeout, j.heartbeat, null)
          + case when (select d.parent_id from pgqueue.dependency d where d.parent_id = j.id order by d.parent_id, d.child_id limit 1) is not null then 4096 else 0 end
          + case when (select f.job_id from pgqueue.follow_up f where f.job_id = j.id order by f.job_id, f.outcome limit 1) is not null then 8192 else 0 end as traits
      from (select j.* from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_done)) j join due d on d.id = j.id)
    select a.at > v_now as later, array_agg(a.id order by a.id) as jobs, array_agg(a.queue order by a.id) as queues, array_agg(a.priority order by a.id) as priorities,
      array_agg(0::smallint) as attempts, array_agg(a.traits order by a.id) as traits, array_agg(a.at order by a.id) as due
    from again a group by a.at > v_now
  loop
    if v_part.later then
      perform pgqueue._schedule(v_part.jobs, v_part.queues, v_part.priorities, v_part.attempts, v_part.traits, v_part.due);
      insert into pgqueue.job_event (job_id, at, event, data)
      select e.id, v_now, 'rescheduled', jsonb_build_object('from', null, 'to', e.due) from unnest(v_part.jobs, v_part.due) e(id, due);
    else
      perform pgqueue._enter(v_part.jobs, v_part.queues, v_part.priorities, v_part.attempts, v_part.traits, false);
    end if;
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_room.sql
-- How many more jobs of a queue may start, by max_running and by its rate; null means no end. Exact because the calling claim holds the queue's limiter, so that the sum over the leases
-- misses none; it is held until the claim's transaction ends, which a worker's does at once.
--
-- While a session pins a snapshot, leases that have ended stay in the way. So the sum starts from a cursor (see _cursor): the oldest lease of the queue that was there at the last
-- look, or the number (see _lease_number) that had been drawn last. Younger ones have greater numbers, as they are drawn under the limiter. A sweep finds what was claimed before there was one. The cursor is
-- kept under a priority that no lane has any use for, lest it share a setting with a lane of its own queue.
create function pgqueue._room(queue text, max_running integer) returns integer
language plpgsql
as $$
declare
  c_apart constant integer := -30000;
  v_start float8 := date_part('epoch', clock_timestamp());
  v_first bigint;
  v_running bigint;
  v_expires float8;
begin
  if max_running is null then
    return 2147483647;
  elsif max_running = 2147483647 then
    return pgqueue._rate_room(queue);
  end if;
  with cursor as materialized (
    select pgqueue._floor_of(s.text, s.owner) as floor, pgqueue._expiry_of(s.text, s.owner) as expires
    from (
      select current_setting(pgqueue._cursor_name('room', _room.queue, c_apart), true) as text,
        pgqueue._cursor_owner('room', _room.queue, c_apart) as owner) s)
  select min(l.id), coalesce(sum(cardinality(l.job_ids)), 0), (select c.expires from cursor c) into v_first, v_running, v_expires
  from pgqueue.lease l
  where l.queue = _room.queue and l.id >= (select case when v_start >= c.expires then 0 else c.floor end from cursor c);
  perform set_config(pgqueue._cursor_name('room', queue, c_apart),
    pgqueue._cursor_text('room', queue, c_apart, coalesce(v_first, (select s.last_value << 16 from pgqueue.lease_id s)),
      case when v_start >= v_expires then pgqueue._sweep_again(v_start) else v_expires end), false);
  return least(greatest(max_running - v_running, 0), pgqueue._rate_room(queue));
end $$;

-- source: sql/functions/private/_row_arrays.sql
-- Rows as [{"line", "input"}, …], as two arrays.
create function pgqueue._row_arrays(in rows jsonb, out lines integer[], out inputs jsonb[])
language plpgsql
as $$
declare
  v_bad record;
begin
  if rows is null or jsonb_typeof(rows) <> 'array' then
    perform pgqueue._refuse('PQ001', format('rows is %s, not an array', coalesce(jsonb_typeof(rows), 'null')), 'Give [{"line": 1, "input": …}, …].');
  end if;
  select e.nth, e.value into v_bad
  from jsonb_array_elements(rows) with ordinality e(value, nth)
  where jsonb_typeof(e.value) <> 'object' or coalesce(jsonb_typeof(e.value -> 'line'), 'null') <> 'number' or not e.value ? 'input'
    or (e.value ->> 'line')::numeric not between 1 and 2147483647 or (e.value ->> 'line')::numeric % 1 <> 0
  order by e.nth limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('row %s is %s', v_bad.nth, left(v_bad.value::text, 100)),
      'Each row is an object with "line", a whole number of at least 1, and "input", any JSON.');
  end if;
  select array_agg((e.value ->> 'line')::numeric::integer order by e.nth), array_agg(e.value -> 'input' order by e.nth) into lines, inputs
  from jsonb_array_elements(rows) with ordinality e(value, nth);
end $$;

-- source: sql/functions/private/_rows_queue.sql
-- The queue of an application's operation: its slices, slow queries and completions. Unambiguous, and plain for plain names.
create function pgqueue._rows_queue(app text, op text) returns text
language sql immutable
return replace(replace($1, '%', '%25'), '/', '%2F') || '/' || replace(replace($2, '%', '%25'), '/', '%2F');

-- source: sql/functions/private/_run_due.sql
-- Enqueues what a locked schedule owes by now and moves its next tick on, in one transaction: that is why there is one job a tick, whoever runs upkeep and how
-- often. Ticks less than a minute late are on time and get a job each. What is later was missed, and goes by the schedule's policy. At most a hundred ticks; what is
-- left is due at once, in the next pass. A tick whose key is held, where that is to be told, is passed over: it has nothing to wait for, and the error is that of the last tick.
create function pgqueue._run_due(schedule pgqueue.schedule) returns bigint
language plpgsql
as $$
declare
  c_punctual constant interval := interval '1 minute';
  v_now timestamptz := pgqueue._now();
  v_tick timestamptz := schedule.next_run;
  v_last_run timestamptz := schedule.last_run;
  v_last_job bigint := schedule.last_job;
  v_once boolean := v_now - v_tick >= c_punctual and schedule.missed = 'one';
  v_made record;
  v_error text;
  v_done bigint := 0;
begin
  if v_now - v_tick >= c_punctual and schedule.missed = 'skip' then
    v_tick := pgqueue._schedule_after(schedule, v_now - c_punctual);
  end if;
  for v_nth in 1..100 loop
    exit when v_tick is null or v_tick > v_now;
    select * into v_made from pgqueue._try_tick(schedule, v_tick);
    v_error := v_made.problem;
    if v_made.job is not null then
      v_last_job := v_made.job;
      v_last_run := v_tick;
      v_done := v_done + 1;
    end if;
    v_tick := pgqueue._schedule_after(schedule, case when v_once then v_now else v_tick end);
  end loop;
  update pgqueue.schedule s set next_run = v_tick, due_at = v_tick, last_run = v_last_run, last_job = v_last_job, last_error = v_error
  where s.name = schedule.name;
  return v_done;
end $$;

-- source: sql/functions/private/_schedule.sql
-- Puts jobs aside until a time, or to where a claim finds them when that time has come. A job with a group that waits for a time holds no
-- slot, but in a queue of strict order: there it keeps the one it has (trait 32768). The arrays are parallel.
create function pgqueue._schedule(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[],
  due timestamptz[]) returns void
language plpgsql
as $$
declare
  v_kept bigint[];
begin
  if 0 <> any(select t & 2 from unnest(_schedule.traits) t) then
    v_kept := array(
      select s.job_id from pgqueue.slot s
      where s.job_id = any(jobs) and (select q.group_order from pgqueue.queue q where q.name = s.queue) = 'strict' for no key update);
    update pgqueue.slot s set state = 2 where s.job_id = any(v_kept);
    _schedule.traits := array(
      select case when e.id = any(v_kept) then e.traits | 32768 else e.traits & ~32768 end & ~16384
      from unnest(jobs, _schedule.traits) with ordinality e(id, traits, ord) order by e.ord);
  end if;
  insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
  select e.due, e.id, e.traits, e.priority, e.attempt, e.queue
  from unnest(jobs, queues, priorities, attempts, _schedule.traits, due) e(id, queue, priority, attempt, traits, due);
  if 0 <> any(select t & 2 from unnest(_schedule.traits) t) then
    perform pgqueue._free_slots(array(select e.id from unnest(jobs) e(id) where e.id <> all(v_kept)));
    if 0 <> any(select t & 128 from unnest(_schedule.traits) t) then
      perform pgqueue._interrupt_scripts(jobs);
    end if;
  end if;
  if 0 <> any(select t & 1024 from unnest(_schedule.traits) t) then
    perform pgqueue._keyed_waits(jobs, priorities);
  end if;
end $$;

-- source: sql/functions/private/_schedule_after.sql
-- The tick a schedule owes next after a moment, within its own time. Null: none.
create function pgqueue._schedule_after(schedule pgqueue.schedule, after timestamptz) returns timestamptz
language plpgsql
as $$
declare
  v_tick timestamptz := pgqueue._next_tick(schedule.cron, schedule.time_zone,
    greatest(after, schedule.starts_at - interval '1 microsecond'), schedule.starts_at);
begin
  return case when v_tick > schedule.ends_at then null else v_tick end;
end $$;

-- source: sql/functions/private/_script_document.sql
-- A script as it was handed in, in any of its forms, checked and brought into one: {"queries": [{"query", "onsuccess"?, "onerror"?, "timeout"?, …}], "onsuccess"?, "onerror"?}. What else the caller
-- wrote beside a query stays there and comes back in the report.
create function pgqueue._script_document(document jsonb) returns jsonb
language plpgsql
as $$
declare
  c_forms constant text := 'Give {"query": "select 1"}, or an array of texts and objects in its place, each object with "query" and, if wanted, "onsuccess", "onerror" and "timeout" (ms).';
  v_body jsonb := case when jsonb_typeof(document) in ('string', 'array') then jsonb_build_object('query', document) else document end;
  v_asked jsonb;
  v_outer jsonb := v_body;
  v_queries jsonb := jsonb_build_array();
  v_query jsonb;
  v_fallback text;
  v_nth integer := 0;
begin
  if v_body is null or jsonb_typeof(v_body) <> 'object' then
    perform pgqueue._refuse('PQ001', format('document is %s', coalesce(jsonb_typeof(v_body), 'null')), c_forms);
  end if;
  v_asked := v_body -> 'query';
  if jsonb_typeof(v_asked) = 'object' then
    if (v_asked ? 'onsuccess' or v_asked ? 'onerror') and (v_body ? 'onsuccess' or v_body ? 'onerror') then
      perform pgqueue._refuse('PQ001', 'the fallbacks of the script are given twice', 'Give them beside "query" or inside of it, not both.');
    end if;
    v_outer := v_asked;
    v_asked := v_asked -> 'query';
    if coalesce(jsonb_typeof(v_asked), 'null') <> 'array' then
      perform pgqueue._refuse('PQ001', format('query.query is %s, not an array', coalesce(jsonb_typeof(v_asked), 'missing')), c_forms);
    end if;
  end if;
  case jsonb_typeof(v_asked)
    when 'string' then v_asked := jsonb_build_array(v_asked);
    when 'array' then
      if jsonb_array_length(v_asked) = 0 then
        perform pgqueue._refuse('PQ001', 'the array of queries is empty', c_forms);
      end if;
    else perform pgqueue._refuse('PQ001', format('query is %s', coalesce(jsonb_typeof(v_asked), 'missing')), c_forms);
  end case;

  for v_query in select q from jsonb_array_elements(v_asked) q loop
    if jsonb_typeof(v_query) = 'string' then
      v_query := jsonb_build_object('query', v_query);
    end if;
    if jsonb_typeof(v_query) <> 'object' or coalesce(jsonb_typeof(v_query -> 'query'), 'null') <> 'string' then
      perform pgqueue._refuse('PQ001', format('query %s is not a text and has none', v_nth), c_forms);
    end if;
    perform pgqueue._check_sql(format('query %s', v_nth), v_query ->> 'query', false);
    v_query := v_query - array['status', 'fallback_status', 'failed_reason', 'fallback_error', 'started_at', 'ended_at', 'notices'];
    foreach v_fallback in array array['onsuccess', 'onerror'] loop
      v_query := pgqueue._check_fallback(v_query, v_fallback, format('%s of query %s', v_fallback, v_nth));
    end loop;
    v_queries := v_queries || jsonb_build_array(v_query);
    v_nth := v_nth + 1;
  end loop;
  v_outer := pgqueue._check_fallback(pgqueue._check_fallback(v_outer, 'onsuccess', 'onsuccess of the script'), 'onerror', 'onerror of the script');
  return jsonb_strip_nulls(jsonb_build_object('onsuccess', v_outer -> 'onsuccess', 'onerror', v_outer -> 'onerror')) || jsonb_build_object('queries', v_queries);
end $$;

-- source: sql/functions/private/_script_is_held.sql
-- Whether a script waits for other jobs: its own status knows nothing of that.
create function pgqueue._script_is_held(script pgqueue.script) returns boolean
language sql stable
return (script).status = 'queued' and (script).started_at is null and (select d.job_id from pgqueue.dependent d where d.job_id = (script).job_id) is not null;

-- source: sql/functions/private/_script_line.sql
-- One line of the list of scripts.
create function pgqueue._script_line(script pgqueue.script) returns pgqueue.script_line
language sql stable
return (
  select ((script).job_id, (script).owner::text, (script).queue::text, case when pgqueue._script_is_held(script) then 'held' else (script).status end, (script).fallback_status, (script).failed_reason, (script).length,
    (select count(*)::integer from pgqueue.script_query q where q.job_id = (script).job_id and q.status in ('succeeded', 'failed', 'cancelled')),
    (script).created_at, (script).updated_at, (script).ended_at)::pgqueue.script_line);

-- source: sql/functions/private/_script_next.sql
-- What comes after the query at `position` and its fallback: the next query, the script's own fallback, or nothing. A failed query ends the script; its failed_reason says so.
create function pgqueue._script_next(script pgqueue.script) returns pgqueue.script
language plpgsql
as $$
begin
  if script.failed_reason is null and script.position + 1 < script.length then
    script.position := script.position + 1;
    script.part := 0;
    script.status := 'queued';
    return script;
  end if;
  script.status := case when script.failed_reason is null then 'succeeded' else 'failed' end;
  if script.document ? (case when script.failed_reason is null then 'onsuccess' else 'onerror' end) then
    script.part := 3;
    script.fallback_status := 'queued';
  else
    script.part := 4;
    script.fallback_status := case when script.fallback_status is not null then 'skipped' end;
  end if;
  return script;
end $$;

-- source: sql/functions/private/_script_or_refuse.sql
-- A script as one who may see it sees it; to others it is as unknown as one that never was. `locked`: for a change.
create function pgqueue._script_or_refuse(id bigint, as_owner text, locked boolean) returns pgqueue.script
language plpgsql
as $$
declare
  v_script pgqueue.script;
begin
  if locked then
    select * into v_script from pgqueue.script s where s.job_id = id for update;
  else
    select * into v_script from pgqueue.script s where s.job_id = id;
  end if;
  if v_script.job_id is null or v_script.owner <> as_owner then
    perform pgqueue._refuse('PQ002', format('script %s not found', coalesce(id::text, 'null')),
      'It was never submitted, its transaction was rolled back, it is past its retention, or it belongs to another owner.');
  end if;
  return v_script;
end $$;

-- source: sql/functions/private/_script_report.sql
-- The report on a script, from its rows. Queries that never began have no row: they are queued, or skipped once the script is over for them.
create function pgqueue._script_report(script pgqueue.script) returns jsonb
language sql stable
as $$
  select jsonb_strip_nulls(jsonb_build_object(
      'id', (script).job_id, 'owner', (script).owner, 'queue', (script).queue, 'status', case when pgqueue._script_is_held(script) then 'held' else (script).status end, 'fallback_status', (script).fallback_status,
      'failed_reason', (script).failed_reason, 'fallback_error', (script).fallback_error, 'created_at', (script).created_at, 'updated_at', (script).updated_at,
      'started_at', (script).started_at, 'ended_at', (script).ended_at, 'onsuccess', (script).document -> 'onsuccess', 'onerror', (script).document -> 'onerror'))
    || jsonb_build_object('queries', (
      select jsonb_agg(e.query || jsonb_strip_nulls(jsonb_build_object(
          'status', coalesce(q.status, case when s.is_over then 'skipped' else 'queued' end),
          'fallback_status', case
            when not e.query ?| array['onsuccess', 'onerror'] then null
            else coalesce(q.fallback_status, case when s.is_over then 'skipped' else 'queued' end) end,
          'failed_reason', q.failed_reason, 'fallback_error', q.fallback_error, 'started_at', q.started_at, 'ended_at', q.ended_at, 'notices', q.notices))
        order by e.nth)
      from (select (script).status = 'cancelled' or (script).failed_reason is not null as is_over) s
      cross join jsonb_array_elements((script).document -> 'queries') with ordinality e(query, nth)
      left join pgqueue.script_query q on q.job_id = (script).job_id and q.position = e.nth - 1));
$$;

-- source: sql/functions/private/_script_verdict.sql
-- How a script that is through is to be settled. The result of one that has succeeded is its report, without texts and notices.
create function pgqueue._script_verdict(in script pgqueue.script, out verdict text, out failure jsonb, out result jsonb)
language plpgsql
as $$
declare
  v_report jsonb;
begin
  case (script).status
    when 'failed' then
      verdict := 'discard';
      failure := jsonb_build_object('type', 'ScriptFailed', 'message', coalesce((script).failed_reason, 'failed'), 'position', (script).position);
    when 'succeeded' then
      verdict := 'succeeded';
      v_report := pgqueue._script_report(script);
      result := v_report - array['onsuccess', 'onerror'] || jsonb_build_object('queries', (
        select jsonb_agg(q.query - array['query', 'onsuccess', 'onerror', 'notices'] order by q.nth)
        from jsonb_array_elements(v_report -> 'queries') with ordinality q(query, nth)));
    else
      verdict := (script).status;
  end case;
end $$;

-- source: sql/functions/private/_seize_key.sql
-- Gives a key that its holder holds no more to another job: its period is over, or the holder has left it. False when it is not so, or another was faster: the caller looks
-- again. The row is locked first and the holder looked at afterwards, in a new snapshot: it may have been retried meanwhile. Waits for other enqueues of this key, and for nothing else.
create function pgqueue._seize_key(
  queue text,
  unique_key text,
  holder bigint,
  job bigint,
  until timestamptz,
  now_ timestamptz) returns boolean
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_until timestamptz;
begin
  select k.until into v_until from pgqueue.job_key k
  where k.queue = _seize_key.queue and k.unique_key = _seize_key.unique_key and k.job_id = holder for update;
  if not found or v_until > now_ or v_until is null and not exists (select from pgqueue.left_key l where l.job_id = holder) then
    return false;
  end if;
  update pgqueue.job_key k set job_id = job, until = _seize_key.until
  where k.queue = _seize_key.queue and k.unique_key = _seize_key.unique_key and k.job_id = holder;
  delete from pgqueue.left_key l where l.job_id in (holder, job);
  return true;
end $$;

-- source: sql/functions/private/_select_jobs.sql
-- One batch for the bulk functions: up to `most` jobs that match, in the order of their ids, from `start` on; `states` are those the action is about. It walks where such jobs stand, each place by id:
-- final ones along their outcomes, the others along the places they wait in, the lanes of ready one by one. Every walk looks at so many rows and no more; where one stops early, all
-- stop at that id (the horizon), and the next call goes on from there. So a call is bounded whatever matches, and `more` says that it is not the end, also when nothing was found.
--
-- Walk and match are two statements, and the action is a third: a job that moves meanwhile is for the action to see. Sorting is disabled as in jobs().
create function pgqueue._select_jobs(
  in wanted pgqueue.job_filter,
  in states text[],
  in most integer,
  in start bigint,
  out ids bigint[],
  out last bigint,
  out more boolean)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  -- Rows that one walk looks at; places where live jobs stand are nine, all lanes together being one.
  v_far integer := 20000;
  v_lanes integer := 20000;
  v_after bigint := greatest(coalesce(start, 0), coalesce(wanted.after_id, 0));
  v_before bigint := coalesce(wanted.before_id, 9223372036854775807);
  v_queue text := wanted.queue;
  v_priority integer := wanted.priority;
  v_states text[] := coalesce(wanted.states, states);
  -- Whether the job row and the outcome have to be looked at, for what the places do not say.
  v_closely boolean := num_nonnulls(wanted.kind, wanted.reason, wanted.error_type, wanted.group_key, wanted.unique_key, wanted.args, wanted.headers, wanted.created_before,
    wanted.created_after, wanted.finished_before, wanted.finished_after) > 0;
  v_walked bigint[];
  v_horizon bigint;
begin
  if most is null or most not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(most::text, 'null')), 'Act on 1 to 10000 jobs a call.');
  end if;
  if start is null or start < 0 then
    perform pgqueue._refuse('PQ001', format('after is %s', coalesce(start::text, 'null')), 'Give 0 first, then the last that the call before returned.');
  end if;

  if wanted.ids is not null then
    -- Named one by one: what cannot be acted upon is the action's to say, unless a state is named too.
    v_walked := array(select i from unnest(wanted.ids) i where i > v_after and i < v_before);
    v_closely := true;
  elsif v_states <@ array['failed', 'cancelled'] then
    select array_agg(w.job_id) filter (where w.state::text = any(v_states)), case when count(*) >= v_far then max(w.job_id) end into v_walked, v_horizon
    from (
      select o.job_id, o.state from pgqueue.outcome o
      where o.job_id > v_after and o.job_id < v_before and o.state <> 'succeeded' order by o.job_id limit v_far) w;
    v_closely := v_closely or num_nonnulls(v_queue, v_priority) > 0;
  elsif v_states <@ array['succeeded', 'failed', 'cancelled'] then
    select array_agg(w.job_id) filter (where w.state::text = any(v_states)), case when count(*) >= v_far then max(w.job_id) end into v_walked, v_horizon
    from (
      select o.job_id, o.state from pgqueue.outcome o
      where o.job_id > v_after and o.job_id < v_before order by o.job_id limit v_far) w;
    v_closely := v_closely or num_nonnulls(v_queue, v_priority) > 0;
  elsif num_nonnulls(wanted.reason, wanted.finished_before, wanted.finished_after) = 0 then
    -- Where all that is walked matches, so many are enough.
    if not v_closely then
      v_lanes := most + 1;
      if num_nonnulls(v_queue, v_priority) = 0 then
        v_far := most + 1;
      end if;
    end if;
    with lane as materialized (
      select h.queue, h.priority, row_number() over () as n, greatest(least(20000 / count(*) over (), v_lanes), 1) as far
      from (
        select l.queue, l.priority, (
          select w.seq from pgqueue.ready w where w.queue = l.queue and w.priority = l.priority and w.seq > v_after order by w.seq limit 1) as first
        from (
          select distinct l.queue, l.priority from pgqueue.lane l
          where 'queued' = any(v_states) and (v_queue is null or l.queue = v_queue) and (v_priority is null or l.priority = v_priority)) l) h
      where h.first < v_before),
    -- A place, how far it is walked, where the walk has come to, and the job there; null when it does not count.
    walk as materialized (
      select l.n as place, l.far, w.seq as at, case when w.seq = w.job_id then w.job_id end as id
      from lane l
      cross join lateral (
        select w.seq, w.job_id from pgqueue.ready w
        where w.queue = l.queue and w.priority = l.priority and w.seq > v_after and w.seq < v_before order by w.seq limit l.far) w
      union all
      select -1, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.ready w
        where w.job_id > v_after and w.job_id < v_before and w.seq <> w.job_id and 'queued' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -2, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.scheduled w
        where w.job_id > v_after and w.job_id < v_before and 'scheduled' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -3, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.arrival w
        where w.job_id > v_after and w.job_id < v_before and 'queued' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -4, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.blocked w
        where w.job_id > v_after and w.job_id < v_before and 'held' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -5, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.suspect w
        where w.job_id > v_after and w.job_id < v_before and 'queued' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -6, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.line w
        where w.job_id > v_after and w.job_id < v_before and 'queued' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -7, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.held w
        where w.job_id > v_after and w.job_id < v_before and 'held' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -9, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.dependent w
        where w.job_id > v_after and w.job_id < v_before and 'held' = any(v_states) order by w.job_id limit v_far) w
      union all
      -- Leases are few.
      select -8, 2147483647, e.id, case
          when v_priority is null or coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = e.id), (select j.priority from pgqueue.job j where j.id = e.id))
            = v_priority then e.id end
      from pgqueue.lease l cross join unnest(l.job_ids) e(id)
      where 'running' = any(v_states) and e.id > v_after and e.id < v_before and (v_queue is null or l.queue = v_queue)),
    horizon as materialized (
      select min(f.at) as at from (select max(w.at) as at from walk w group by w.place, w.far having count(*) >= w.far) f)
    select (select array_agg(w.id) from (select w.id from walk w where w.id <= coalesce(h.at, w.id) order by w.id) w), h.at into v_walked, v_horizon
    from horizon h;
  end if;

  if v_closely then
    -- Without an order by: the walk is in order, and the limit ends the look at rows.
    ids := array(
      select c.id
      from unnest(v_walked) c(id)
      cross join lateral (
        select j.* from pgqueue.job j where j.id = c.id offset 0) j
      where (v_queue is null or j.queue = v_queue)
        and (wanted.kind is null or j.kind = wanted.kind)
        and (wanted.group_key is null or j.group_key = wanted.group_key)
        and (wanted.unique_key is null or j.unique_key = wanted.unique_key)
        and (wanted.created_before is null or j.created_at < wanted.created_before)
        and (wanted.created_after is null or j.created_at >= wanted.created_after)
        and (v_priority is null or coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = c.id), j.priority) = v_priority)
        and (wanted.args is null or j.args @> wanted.args)
        and (wanted.headers is null or j.headers @> wanted.headers)
        and (wanted.reason is null or (select o.reason from pgqueue.outcome o where o.job_id = c.id) = wanted.reason)
        and (wanted.finished_before is null or (select o.finished_at from pgqueue.outcome o where o.job_id = c.id) < wanted.finished_before)
        and (wanted.finished_after is null or (select o.finished_at from pgqueue.outcome o where o.job_id = c.id) >= wanted.finished_after)
        and (wanted.error_type is null or (
          select e.error ->> 'type' from pgqueue.attempt_error e where e.job_id = c.id order by e.failed_at desc limit 1) = wanted.error_type)
        and (wanted.ids is null or wanted.states is null or coalesce((select o.state::text from pgqueue.outcome o where o.job_id = c.id),
          pgqueue._state_if_any(c.id), 'running') = any(wanted.states))
      limit most + 1);
  else
    ids := coalesce(v_walked[1:most + 1], '{}');
  end if;
  more := cardinality(ids) > most or v_horizon is not null;
  if cardinality(ids) > most then
    ids := ids[1:most];
    last := ids[most];
  else
    last := coalesce(v_horizon, ids[cardinality(ids)], v_after);
  end if;
end $$;

-- source: sql/functions/private/_session_args.sql
-- What the worker has to know to open the session for a job's SQL.
create function pgqueue._session_args(datasource text, role text, settings jsonb) returns jsonb
language sql immutable
return jsonb_build_object('datasource', datasource, 'role', role, 'settings', nullif(settings, '{}'));

-- source: sql/functions/private/_set_cursor.sql
-- Remembers where the next scan of this lane starts (see _cursor). `seen` is the lowest turn the scan found, null when it found none.
-- `sweep_started` is null when the scan was not a sweep; then the old expiry stands.
create function pgqueue._set_cursor(
  purpose text,
  queue text,
  priority integer,
  seen bigint,
  sweep_started float8,
  expires float8) returns void
language plpgsql
as $$
begin
  if seen is null then
    select s.last_value into seen from pgqueue.job_id s;
  end if;
  if sweep_started is not null then
    expires := pgqueue._sweep_again(sweep_started);
  end if;
  perform set_config(pgqueue._cursor_name(purpose, queue, priority), pgqueue._cursor_text(purpose, queue, priority, seen, expires), false);
end $$;

-- source: sql/functions/private/_set_due_cursor.sql
-- Remembers the earliest row that a scan from _due_cursor saw; when it saw none and was a sweep, the time up to which there was none.
create function pgqueue._set_due_cursor(
  purpose text,
  seen timestamptz,
  until timestamptz,
  sweep_started float8,
  expires float8) returns void
language plpgsql
as $$
begin
  if seen is not null or sweep_started is not null then
    perform pgqueue._set_cursor(purpose, '', 0, (extract(epoch from coalesce(seen, until)) * 1000)::bigint, sweep_started, expires);
  end if;
end $$;

-- source: sql/functions/private/_settle_unsuccessful.sql
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
  perform pgqueue._go_back(v_again, v_queues, v_priorities, v_spent, v_traits);
  if v_later is not null then
    perform pgqueue._schedule(v_later, v_later_queues, v_later_priorities, v_later_spent, v_later_traits, v_due);
  end if;
end $$;

-- source: sql/functions/private/_settle_whole.sql
-- The hot path of settle for several leases at once, as of a worker that serves many queues. Returns the leases that were settled: those without traits
-- whose jobs are named one and all, in their order. The others are as they were.
create function pgqueue._settle_whole(leases bigint[], jobs bigint[], results jsonb[]) returns bigint[]
language plpgsql
as $$
declare
  v_whole bigint[];
begin
  with named as materialized (
    select i.lease, array_agg(i.job order by i.ord) as jobs
    from unnest(leases, jobs) with ordinality i(lease, job, ord) group by i.lease),
  held as materialized (
    select l.id, l.job_ids from pgqueue.lease l
    where l.id = any(leases) and l.traits is null and l.forget = 0 order by l.id for update skip locked)
  select array_agg(h.id) into v_whole from held h join named n on n.lease = h.id and n.jobs = h.job_ids;
  if v_whole is null then
    return array[]::bigint[];
  end if;
  with given as materialized (
    select i.job, i.result from unnest(leases, jobs, results) i(lease, job, result) where i.lease = any(v_whole)),
  gone as (
    delete from pgqueue.lease l where l.id = any(v_whole) returning l.worker_id, l.claimed_at, l.job_ids, l.attempts)
  insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt, result)
  select e.id, pgqueue._now(), h.claimed_at, h.worker_id, 'succeeded', e.attempt, g.result
  from gone h cross join lateral unnest(h.job_ids, h.attempts) e(id, attempt) join given g on g.job = e.id;
  perform pgqueue._announce(jobs);
  return v_whole;
end $$;

-- source: sql/functions/private/_slice.sql
-- After which job id the next slice of a table begins: upkeep looks through such a table a slice a pass. Remembered by the session that leads; another begins
-- anew. Inlined: keep it one expression.
create function pgqueue._slice(purpose text) returns bigint
language sql stable
return coalesce(nullif(current_setting('pgqueue.slice_' || purpose, true), ''), '0')::bigint;

-- source: sql/functions/private/_slice_messages.sql
-- What the rows of a slice are told that failed as a whole: its last error.
create function pgqueue._slice_messages(job bigint, reason text) returns jsonb
language sql stable
as $$
  select jsonb_build_array(jsonb_build_object(
    'msgid', case when e.error ->> 'type' = 'InitFailed' then 5 else 10 end,
    'errcode', case when e.error ->> 'type' = 'InitFailed' then 'configerror' when $2 = 'worker_lost' then 'worker_lost' else 'processing_error' end,
    'vals', jsonb_build_array(coalesce(e.error ->> 'message', $2, 'failed'))))
  from (select 1) one
  left join lateral (select a.error from pgqueue.attempt_error a where a.job_id = $1 order by a.failed_at desc limit 1) e on true;
$$;

-- source: sql/functions/private/_slices_ended.sql
-- The part of the final transition that belongs to slices: what became of their rows is written down, and the batch counted down; the last one ends it. Results are arrays of
-- {"row", "status", "result", "messages", "output", "delay"}, one for each row of the slice; status succeeded, failed, aborted, or later: that row goes on in a slice of its own.
-- A row that a succeeded slice says nothing of, or nothing sensible, has failed. Of a batch that is over, late results are discarded.
--
-- Batches are locked in the order of their ids: the counters, which only workers and aborts write.
create function pgqueue._slices_ended(jobs bigint[], states text[], reasons text[], results jsonb[], worker bigint) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_batch pgqueue.batch;
  v_count pgqueue.batch_count;
  v_jobs bigint[];
  v_later jsonb[];
  v_delays float8[];
  v_done record;
  v_id bigint;
begin
  for v_id, v_jobs in
    -- Each looked up by itself: the order by batches would otherwise invite a walk of the index that gives it.
    select s.batch_id, array_agg(s.job)
    from (select j.job, (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.job) as batch_id from unnest(jobs) j(job) offset 0) s
    where s.batch_id is not null group by s.batch_id order by s.batch_id
  loop
    select * into v_count from pgqueue.batch_count c where c.batch_id = v_id for no key update;
    select * into v_batch from pgqueue.batch b where b.id = v_id;
    continue when v_batch.done_at is not null or v_batch.id is null;
    if v_batch.gate = any(v_jobs) then
      -- No slice of it can end beside: they are all held.
      perform pgqueue._gate_ended(v_batch, states[array_position(jobs, v_batch.gate)], reasons[array_position(jobs, v_batch.gate)]);
      continue;
    end if;
    with given as materialized (
      select e.job, e.state, e.reason, e.result from unnest(jobs, states, reasons, results) e(job, state, reason, result) where e.job = any(v_jobs)),
    asked as materialized (
      select g.job, g.state, g.reason, (i.value ->> 0)::integer as row_id, (i.value ->> 1)::integer as line, i.value
      from given g
      cross join lateral (select j.args from pgqueue.job j where j.id = g.job offset 0) j
      cross join lateral jsonb_array_elements(j.args -> 'rows') i(value)),
    said as materialized (
      select distinct on (g.job, o."row" collate "C") g.job, o.*
      from given g
      cross join lateral jsonb_to_recordset(case
        when jsonb_typeof(g.result) = 'array' and not exists (select from jsonb_array_elements(g.result) e where jsonb_typeof(e) <> 'object') then g.result
        else '[]' end) o("row" text, status text, result jsonb, messages jsonb, output jsonb, delay jsonb)
      where coalesce(g.state, 'succeeded') = 'succeeded'),
    heard as materialized (
      select a.job, coalesce(a.state, 'succeeded') as state, a.reason, a.row_id, a.line, a.value, o.status, o.result, o.messages,
        case when jsonb_typeof(o.output) = 'object' then o.output end as output,
        case when jsonb_typeof(o.delay) = 'number' then round(least(greatest(o.delay::numeric, 0), 3e8), 6) else 0 end as delay,
        case
          when o.job is null then 'the processor said nothing of this row'
          when o.status is null or o.status not in ('succeeded', 'failed', 'aborted', 'later') then 'unknown status ' || coalesce(left(o.status, 100), 'null')
          when jsonb_typeof(o.output) = 'object' and exists (select from jsonb_object_keys(o.output) k where length(k) > 500)
            then 'the name of an output file is longer than 500 characters'
          end as fault
      from asked a left join said o on o.job = a.job and o."row" collate "C" = a.row_id::text),
    judged as materialized (
      select h.*, case
        when h.state = 'cancelled' then 'aborted'
        when h.fault is not null then 'failed'
        else h.status end as verdict
      from heard h),
    kept as (
      insert into pgqueue.row_outcome (batch_id, line, row_id, status, done_at, worker_id, result, messages, output)
      select v_id, j.line, j.row_id, j.verdict, v_now, _slices_ended.worker, j.result, case
          when j.state = 'failed' then pgqueue._slice_messages(j.job, j.reason)
          when j.fault is null then j.messages
          when j.verdict = 'failed' then jsonb_build_array(jsonb_build_object('msgid', 10, 'errcode', 'processing_error', 'vals', jsonb_build_array(j.fault)))
          end,
        case when j.verdict in ('succeeded', 'failed') and j.fault is null then j.output end
      from judged j where j.verdict <> 'later'
      on conflict do nothing
      returning status, output),
    files as (
      insert into pgqueue.batch_file as f (batch_id, name, lines, chars)
      select v_id, n.name, sum(n.lines), sum(n.chars)
      from (
        -- A text is one line, an array several; nothing is trimmed, a blank line is a line, null is none. So output_file reads them.
        select x.name, case jsonb_typeof(x.value)
            when 'array' then (select count(*) from jsonb_array_elements(x.value) l where l <> 'null') when 'null' then 0 else 1 end as lines,
          case jsonb_typeof(x.value)
            when 'array' then (select sum(length(l) + 1) from jsonb_array_elements_text(x.value) l) else length(x.value #>> '{}') + 1 end as chars
        from kept k cross join jsonb_each(k.output) x(name, value)) n
      where n.lines > 0 group by n.name order by n.name
      on conflict (batch_id, name) do update set lines = f.lines + excluded.lines, chars = f.chars + excluded.chars)
    select count(*) as rows, count(*) filter (where k.status = 'succeeded') as succeeded, count(*) filter (where k.status = 'failed') as failed,
      count(*) filter (where k.status = 'aborted') as aborted,
      (select array_agg(jsonb_build_array(jsonb_build_array(j.row_id, j.line, j.value -> 2, coalesce((j.value ->> 3)::integer, 0) + 1))) from judged j where j.verdict = 'later') as later,
      (select array_agg(j.delay) from judged j where j.verdict = 'later') as delays
    into v_done from kept k;

    v_later := v_done.later;
    v_delays := v_done.delays;
    for i in 1..coalesce(cardinality(v_later), 0) loop
      perform pgqueue._make_slices(v_batch, array[v_later[i]], case when v_delays[i] > 0 then v_now + make_interval(secs => v_delays[i]) end);
    end loop;
    update pgqueue.batch_count c
    set pending = c.pending - v_done.rows, succeeded = c.succeeded + v_done.succeeded, failed = c.failed + v_done.failed, aborted = c.aborted + v_done.aborted
    where c.batch_id = v_id returning c.* into v_count;
    if v_count.pending = 0 then
      perform pgqueue._finish_batch(v_id, case when v_count.aborted > 0 then 'aborted' when v_count.failed > 0 then 'failed' else 'succeeded' end);
      if (select d.job_id from pgqueue.dependent d where d.job_id = v_batch.gate) is not null then
        -- Its rows were cancelled one by one while it waits for others: nobody is to wait in its name.
        perform pgqueue.cancel(v_batch.gate);
      end if;
    end if;
  end loop;
end $$;

-- source: sql/functions/private/_split_slice.sql
-- A slice that came out of a crash gives each of its rows a job of its own: so the row that kills its workers shows itself, and takes no others along. One whose batch is over meanwhile
-- gives nothing on. Returns false when the slice is one row, which is to run again. The counters are locked: an abort finds the slice or those it was split into.
create function pgqueue._split_slice(job bigint) returns boolean
language plpgsql
as $$
declare
  v_id bigint;
  v_batch pgqueue.batch;
  v_rows jsonb;
begin
  select s.batch_id into v_id from pgqueue.batch_slice s where s.job_id = job;
  perform from pgqueue.batch_count c where c.batch_id = v_id for no key update;
  select b.* into v_batch from pgqueue.batch b where b.id = v_id;
  if v_batch.id is null or v_batch.done_at is not null then
    return true;
  end if;
  select j.args -> 'rows' into v_rows from pgqueue.job j where j.id = job;
  if jsonb_array_length(v_rows) < 2 then
    return false;
  end if;
  delete from pgqueue.batch_slice s where s.job_id = job;
  perform pgqueue._make_slices(v_batch, array(select jsonb_build_array(r.value) from jsonb_array_elements(v_rows) with ordinality r(value, nth) order by r.nth), null);
  return true;
end $$;

-- source: sql/functions/private/_spread.sql
-- Counts by bucket as an array: its first element counts bucket 0, its last one the highest bucket there is. Buckets that are null count nowhere.
create function pgqueue._spread(buckets integer[], counts bigint[]) returns bigint[]
language sql immutable
return array(
  select coalesce(sum(e.n), 0)::bigint
  from generate_series(0, (select max(b) from unnest(buckets) b)) s(bucket)
  left join unnest(buckets, counts) e(bucket, n) on e.bucket = s.bucket
  group by s.bucket order by s.bucket);

-- source: sql/functions/private/_sql_job_cancelled.sql
-- A cancel of a running job was asked for: a script is cancelled from now on, whatever its query still comes to, and nobody new attaches to a query. The worker will end what runs;
-- where that is this server, and this function's owner may, it is ended here already.
create function pgqueue._sql_job_cancelled(job bigint) returns void
language plpgsql
as $$
declare
  v_script pgqueue.script;
begin
  select * into v_script from pgqueue.script s where s.job_id = _sql_job_cancelled.job for update;
  if v_script.part < 4 then
    perform pgqueue._stop_script(v_script, 'cancelled', null);
  elsif v_script.job_id is null then
    delete from pgqueue.job_key k where k.job_id = _sql_job_cancelled.job and k.queue = '';
  end if;
  perform pgqueue._cancel_backend(job);
end $$;

-- source: sql/functions/private/_sql_jobs_ended.sql
-- The part of the final transition that belongs to scripts and queries. `states` null means all succeeded. Scripts that their worker brought to an end have their status
-- already; one that was cancelled in line, expired or lost gets it here. So with the audit of queries.
create function pgqueue._sql_jobs_ended(jobs bigint[], states text[], reasons text[], traits integer[]) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_job record;
  v_script pgqueue.script;
begin
  for v_job in
    select e.id, coalesce(e.state, 'succeeded') as state, e.reason, e.traits
    from unnest(jobs, states, reasons, traits) e(id, state, reason, traits) where e.traits & 128 <> 0 order by e.id
  loop
    if v_job.traits & 256 <> 0 then
      select * into v_script from pgqueue.script s where s.job_id = v_job.id for update;
      if v_script.part < 4 then
        perform pgqueue._stop_script(v_script, v_job.state, case v_job.reason
          when 'worker_lost' then 'the worker was lost while the query ran, too often' when 'queue_timeout' then 'did not start in time'
          when 'parent_failed' then 'a job that it waited for failed or was cancelled' end);
      end if;
      update pgqueue.script s
      set ended_at = coalesce(s.ended_at, v_now),
        expires_at = v_now + coalesce((select q.retention from pgqueue.queue q where q.name = s.queue), (select c.retention from pgqueue.config c))
      where s.job_id = v_job.id;
    else
      perform pgqueue._query_ended(v_job.id, v_job.state, v_job.reason);
    end if;
  end loop;
  -- After the scripts: whoever cancels or begins one has it locked before it asks for this.
  delete from pgqueue.backend b where b.job_id = any(jobs);
end $$;

-- source: sql/functions/private/_sql_limit.sql
-- How long one query of this owner may run: the owner's own limit, else the queue's, else the installation's.
create function pgqueue._sql_limit(queue text, owner text) returns interval
language sql stable
return coalesce(
  (select o.timeout from pgqueue.owner o where o.name = $2), (select q.timeout from pgqueue.queue q where q.name = $1), (select c.sql_timeout from pgqueue.config c));

-- source: sql/functions/private/_sql_parts.sql
-- Cuts SQL text into what PostgreSQL's own scanner would see: code, literals, quoted names, comments, with the tags <%= … %> and the parameters $n cut out. `kinds` says what a
-- part is: code, quote ('…'), escape (E'…'), name ("…"), dollar, line (-- …), comment, open and close (the tags of a dollar quote), param, end (a semicolon), or
-- tag:<kind> for a tag inside of such. Parts joined give the text again.
--
-- One regular expression finds whatever can change the state; the text in between is never looked at by character, so long texts cost little.
create function pgqueue._sql_parts(in sql text, out kinds text[], out parts text[])
language plpgsql immutable
as $$
declare
  c_marks constant text := $re$'|"|--|/\*|\*/|\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$|\$[0-9]+|\n|\\|;|<%=\s*(?:job_id|error_message)\s*%>$re$;
  v_texts text[] := regexp_split_to_array(sql, c_marks);
  v_marks text[] := array(select m[1] from regexp_matches(sql, '(' || c_marks || ')', 'g') m);
  v_count integer := cardinality(v_marks);
  v_state text := 'code';
  v_dollar text;
  v_depth integer := 0;
  v_part text := '';
  v_text text;
  v_mark text;
  v_after text;
  v_next text;
  i integer := 1;
begin
  kinds := array[]::text[];
  parts := array[]::text[];
  while i <= v_count + 1 loop
    v_text := v_texts[i];
    v_mark := v_marks[i];
    i := i + 1;
    if v_state = 'dollar' and left(v_text, length(v_dollar) - 1) = substr(v_dollar, 2) and right(v_part, 1) = '$' then
      -- a closing tag whose first character was taken for the end of another one
      kinds := kinds || array['dollar', 'close'];
      parts := parts || array[left(v_part, -1), v_dollar];
      v_part := substr(v_text, length(v_dollar));
      v_state := 'code';
    else
      v_part := v_part || v_text;
    end if;
    exit when v_mark is null;

    if v_mark like '<\%=%' then
      kinds := kinds || array[v_state, 'tag:' || v_state];
      parts := parts || array[v_part, v_mark];
      v_part := '';
      continue;
    end if;
    v_next := null;
    v_after := '';
    case v_state
      when 'code' then
        case
          when v_mark = '''' then
            v_next := case when v_part ~ '(^|[^A-Za-z0-9_$\u0080-\uffff])[eE]$' then 'escape' else 'quote' end;
          when v_mark = '"' then v_next := 'name';
          when v_mark = '--' then v_next := 'line';
          when v_mark = '/*' then
            v_next := 'comment';
            v_depth := 1;
          when v_mark = ';' then
            kinds := kinds || array['code', 'end'];
            parts := parts || array[v_part, v_mark];
            v_part := '';
            continue;
          when v_mark like '$%' and v_part !~ '[A-Za-z0-9_$\u0080-\uffff]$' then
            kinds := kinds || array['code', case when v_mark like '%$' then 'open' else 'param' end];
            parts := parts || array[v_part, v_mark];
            v_part := '';
            if v_mark like '%$' then
              v_dollar := v_mark;
              v_state := 'dollar';
            end if;
            continue;
          else null;
        end case;
        if v_next is not null then
          kinds := kinds || v_state;
          parts := parts || v_part;
          v_part := v_mark;
          v_state := v_next;
          continue;
        end if;
      when 'quote', 'escape' then
        if v_mark = '''' and v_marks[i] = '''' and v_texts[i] = '' or v_state = 'escape' and v_mark = '\' and v_texts[i] = '' then
          v_after := coalesce(v_marks[i], '');
          i := i + 1;
          v_texts[i] := coalesce(v_texts[i], '');
        elsif v_mark = '''' then
          v_next := 'code';
        end if;
      when 'name' then
        v_next := case when v_mark = '"' then 'code' end;
      when 'line' then
        v_next := case when v_mark = E'\n' then 'code' end;
      when 'comment' then
        v_depth := v_depth + case v_mark when '/*' then 1 when '*/' then -1 else 0 end;
        v_next := case when v_depth = 0 then 'code' end;
      when 'dollar' then
        if v_mark = v_dollar then
          kinds := kinds || array['dollar', 'close'];
          parts := parts || array[v_part, v_mark];
          v_part := '';
          v_state := 'code';
          continue;
        end if;
    end case;
    v_part := v_part || v_mark || v_after;
    if v_next is not null then
      kinds := kinds || v_state;
      parts := parts || v_part;
      v_part := '';
      v_state := v_next;
    end if;
  end loop;
  kinds := kinds || v_state;
  parts := parts || v_part;
end $$;

-- source: sql/functions/private/_stand_in_line.sql
-- Puts jobs that had their turn back in line, at the head of their owner's part since that is ordered by id. What of a script was running is to run again.
create function pgqueue._stand_in_line(
  jobs bigint[],
  queues text[],
  priorities smallint[],
  attempts smallint[],
  traits integer[]) returns void
language plpgsql
as $$
declare
  v_jobs bigint[] := array(select e.id from unnest(jobs, traits) e(id, traits) where e.traits & 128 <> 0);
begin
  perform pgqueue._interrupt_scripts(v_jobs);
  with gone as (delete from pgqueue.turn t where t.job_id = any(v_jobs) returning t.job_id, t.owner),
  known as (
    insert into pgqueue.owner_turns (queue, owner, turns, arrived)
    select distinct on (e.queue, j.group_key) e.queue, j.group_key, 0, e.id
    from unnest(jobs, queues, traits) e(id, queue, traits)
    cross join lateral (select j.group_key from pgqueue.job j where j.id = e.id offset 0) j
    where e.traits & 128 <> 0
    order by e.queue, j.group_key, e.id
    on conflict do nothing)
  insert into pgqueue.line (job_id, traits, priority, attempt, queue, owner)
  select e.id, e.traits, e.priority, e.attempt, e.queue,
    coalesce((select g.owner from gone g where g.job_id = e.id), (select j.group_key from pgqueue.job j where j.id = e.id))
  from unnest(jobs, queues, priorities, attempts, _stand_in_line.traits) e(id, queue, priority, attempt, traits)
  where e.traits & 128 <> 0;
end $$;

-- source: sql/functions/private/_standing.sql
-- For functions that change a waiting job: why it is not waiting. Unknown is an error; otherwise its state, running or final.
create function pgqueue._standing(job bigint) returns text
language plpgsql
as $$
declare
  v_state text;
begin
  select o.state::text into v_state from pgqueue.outcome o where o.job_id = job;
  if not found then
    if not exists (select from pgqueue.job j where j.id = job) then
      perform pgqueue._unknown_job(job, 'It was never enqueued, its transaction was rolled back, or it is past its retention.');
    end if;
    v_state := case when (pgqueue._lease_of(job)).id is not null then 'running' end;
  end if;
  return v_state;
end $$;

-- source: sql/functions/private/_starts.sql
-- Notes that the jobs of these leases have been started, where that is counted: for the rate of their queue, and for their groups, whose next are admitted then. In the transaction
-- of the claim, which holds the limiters of queues with a rate. Noted with the time that the lease has, which is never before the one at which the claim looked at the room; it never goes back, as sums
-- are in the order of times.
create function pgqueue._starts(leases bigint[]) returns void
language plpgsql
as $$
declare
  v_id bigint;
  v_lease pgqueue.lease;
  v_queue pgqueue.queue;
begin
  foreach v_id in array leases loop
    select * into v_lease from pgqueue.lease l where l.id = v_id;
    select * into v_queue from pgqueue.queue q where q.name = v_lease.queue;
    if v_queue.rate_limit is not null then
      insert into pgqueue.rate_start (queue, started_at, total, jobs, expires_at)
      select v_lease.queue, greatest(v_lease.claimed_at, n.last), coalesce(n.total, 0) + cardinality(v_lease.job_ids), cardinality(v_lease.job_ids),
        greatest(v_lease.claimed_at, n.last) + coalesce(v_queue.rate_period, '1 second')
      from (select (l.last).started_at as last, (l.last).total as total
        from (select (
          select r from pgqueue.rate_start r where r.queue = v_lease.queue order by r.queue desc, r.started_at desc, r.total desc limit 1) as last) l) n;
    end if;
    if v_queue.counted and v_lease.traits is not null then
      perform pgqueue._groups_start(v_lease, v_queue);
    end if;
  end loop;
end $$;

-- source: sql/functions/private/_state.sql
-- The one word for where a job stands, in one statement and so from one snapshot: a job that moves meanwhile is in one place or the other. `batches`: an id may
-- also be that of a batch or slow query, which is looked at only when there is no such job.
create function pgqueue._state(job bigint, batches boolean default false) returns text
language plpgsql
as $$
declare
  v_state text;
begin
  select coalesce(
    (select o.state::text from pgqueue.outcome o where o.job_id = job),
    (select 'queued' from pgqueue._in_ready(job)),
    (select 'scheduled' from pgqueue.scheduled w where w.job_id = job),
    (select 'queued' from pgqueue.arrival w where w.job_id = job),
    (select 'held' from pgqueue.blocked w where w.job_id = job),
    (select 'queued' from pgqueue.suspect w where w.job_id = job),
    (select 'queued' from pgqueue.line w where w.job_id = job),
    (select 'held' from pgqueue.held w where w.job_id = job),
    (select 'held' from pgqueue.dependent w where w.job_id = job),
    (select 'running' from pgqueue.job j where j.id = job)) into v_state;
  if v_state is null and batches then
    v_state := pgqueue._batch_state(job);
  end if;
  if v_state is null then
    perform pgqueue._unknown_job(job, 'It was never enqueued, its transaction was rolled back, it is past its retention, or its queue keeps no history.');
  end if;
  return v_state;
end $$;

-- source: sql/functions/private/_state_if_any.sql
-- The state of a job that is not final, read with the caller's snapshot; null when it waits nowhere. Inlined: keep it one expression.
create function pgqueue._state_if_any(job bigint) returns text
language sql stable
as $$
  select (select w.state from pgqueue.job j cross join lateral pgqueue._waiting(j.id, j.queue, j.priority) w where j.id = $1);
$$;

-- source: sql/functions/private/_stop_script.sql
-- Ends a script where it is, as cancelled or failed: the unit that was next or ran gets that status, the rest will be skipped, no fallback runs. Once the script's own
-- fallback is due its status is final, and only that fallback's changes.
create function pgqueue._stop_script(script pgqueue.script, state text, reason text) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
begin
  if script.part = 0 then
    insert into pgqueue.script_query (job_id, position, status, ended_at, failed_reason)
    values (script.job_id, script.position, state, v_now, reason)
    on conflict (job_id, position) do update set status = excluded.status, ended_at = v_now, failed_reason = excluded.failed_reason;
  elsif script.part < 3 then
    update pgqueue.script_query q set fallback_status = state, fallback_error = reason
    where q.job_id = script.job_id and q.position = script.position;
  end if;
  update pgqueue.script s
  set status = case when s.part < 3 then state else s.status end,
    failed_reason = case when s.part < 3 then case when state = 'failed' then coalesce(s.failed_reason, reason) end else s.failed_reason end,
    fallback_status = case when s.part = 3 then state when s.fallback_status is not null then 'skipped' end,
    fallback_error = case when s.part = 3 then reason else s.fallback_error end,
    part = 4, updated_at = v_now, ended_at = v_now
  where s.job_id = script.job_id;
end $$;

-- source: sql/functions/private/_store_jobs.sql
-- Writes checked jobs into the tables: the general way in, for whatever a job may have. One row per job, in input order: its own id, or that of the live job that holds
-- its unique key. Traits are made here of what the job has, but for those of scripts and queries, which are given.
create function pgqueue._store_jobs(jobs pgqueue.new_job[], now_ timestamptz)
returns table (id bigint, created boolean)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_ids bigint[];
  v_new pgqueue.new_job[];
begin
  jobs := array(
    select (j.id, j.kind, j.args, j.queue, j.priority, j.due, j.unique_key, j.group_key, j.max_attempts, j.timeout, j.expires_at, j.heartbeat, j.backoff,
      j.headers, pgqueue._traits(case when j.unique_until is null then j.unique_key end, j.group_key, j.timeout, j.heartbeat, j.expires_at)
        + case when j.unique_until = 'start' then 2048 else 0 end + (coalesce(j.traits, 0) & 384), j.unique_until, j.unique_for, j.on_duplicate,
      j.depends_on, j.refs, j.on_parent_failure, j.on_success, j.on_error, j.ref)::pgqueue.new_job
    from unnest(jobs) with ordinality j order by j.ordinality);
  select t.jobs, t.ids into jobs, v_ids from pgqueue._take_keys(jobs, now_) t;
  v_new := pgqueue._with_parents(jobs, v_ids, array(select j::pgqueue.new_job from unnest(jobs) j where (j.id in (select i from unnest(v_ids) i)) is true));  -- so that it is a hash, not a join
  insert into pgqueue.job (id, created_at, expires_at, timeout, heartbeat, priority, max_attempts, queue, kind, unique_key, group_key,
    args, backoff, headers, unique_until, depends_on)
  select j.id, now_, j.expires_at, j.timeout, j.heartbeat, j.priority, j.max_attempts, j.queue, j.kind, j.unique_key, j.group_key,
    j.args, j.backoff, j.headers, j.unique_until, j.depends_on
  from unnest(v_new) j;
  insert into pgqueue.deadline (expires_at, job_id)
  select j.expires_at, j.id from unnest(v_new) j where j.expires_at is not null;
  insert into pgqueue.follow_up (job_id, outcome, jobs)
  select j.id, f.outcome, case jsonb_typeof(f.jobs) when 'array' then f.jobs else jsonb_build_array(f.jobs) end
  from unnest(v_new) j cross join lateral (values ('success', j.on_success), ('error', j.on_error)) f(outcome, jobs)
  where j.traits & 8192 <> 0 and f.jobs is not null;
  v_new := pgqueue._hold_new(v_new, now_);
  insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
  select j.due, j.id, j.traits, j.priority, 0, j.queue from unnest(v_new) j where j.due > now_;
  insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
  select j.id, j.id, j.traits, j.priority, 0, j.queue, j.group_key
  from unnest(v_new) j where j.due <= now_ and j.group_key is not null;
  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
  select j.id, j.id, j.traits, j.priority, 0, j.queue
  from unnest(v_new) j where j.due <= now_ and j.group_key is null;
  perform pgqueue._open_lane(l.queue, l.priority, l.grouped)
  from (
    select j.queue, j.priority, bool_or(j.group_key is not null) as grouped
    from unnest(v_new) j where j.due <= now_ group by 1, 2) l;
  perform pgqueue._wake(q.queue) from (select distinct j.queue from unnest(v_new) j where j.due <= now_) q;

  return query
  select i.id, i.id = i.own_id
  from unnest(array(select j.id from unnest(jobs) with ordinality j order by j.ordinality), v_ids) with ordinality i(own_id, id, ord)
  order by i.ord;
end $$;

-- source: sql/functions/private/_submit_tick.sql
-- Hands in what a schedule of kind sql.query or sql.script has for each tick.
create function pgqueue._submit_tick(schedule pgqueue.schedule) returns bigint
language plpgsql
as $$
declare
  v_call record;
begin
  select * into v_call from pgqueue._tick_call(schedule.args);
  if schedule.kind = 'sql.script' then
    return (
      select s.id
      from pgqueue.submit_script(
        document => v_call.document,
        owner => v_call.owner,
        queue => schedule.queue,
        priority => schedule.priority,
        datasource => v_call.datasource,
        role => v_call.role,
        settings => v_call.settings,
        on_success => schedule.on_success,
        on_error => schedule.on_error) s);
  end if;
  return (
    select s.id
    from pgqueue.submit_query(
      sql => v_call.sql,
      params => v_call.params,
      owner => v_call.owner,
      queue => schedule.queue,
      datasource => v_call.datasource,
      role => v_call.role,
      settings => v_call.settings,
      timeout => v_call.timeout,
      wait_timeout => v_call.wait_timeout,
      max_age => v_call.max_age,
      "unique" => v_call."unique",
      read_only => v_call.read_only,
      batch_rows => v_call.batch_rows,
      max_rows => v_call.max_rows,
      max_bytes => v_call.max_bytes,
      ttl => v_call.ttl,
      priority => schedule.priority,
      on_success => schedule.on_success,
      on_error => schedule.on_error) s);
end $$;

-- source: sql/functions/private/_sum_buckets.sql
-- Two distributions as one, however far each goes.
create function pgqueue._sum_buckets(one bigint[], other bigint[]) returns bigint[]
language sql immutable
return array(select coalesce(u.a, 0) + coalesce(u.b, 0) from unnest(one, other) with ordinality u(a, b, nth) order by u.nth);

-- source: sql/functions/private/_sweep_again.sql
-- When a sweep that has just ended is due again: a sweep that cost much is due less often. Seconds since the epoch. Inlined: keep it one expression.
create function pgqueue._sweep_again(started float8) returns float8
language sql volatile
return date_part('epoch', clock_timestamp()) + greatest(0.2, 10 * (date_part('epoch', clock_timestamp()) - started));

-- source: sql/functions/private/_take.sql
-- Takes the picked rows out of ready and leases them, one lease per queue. Returns the leases, the jobs with the lease of each,
-- and what claim has to know of them. Who is at a first
-- attempt starts in the order of enqueueing, though a group or a time may have kept it, but where groups take turns (trait 16384); of one priority, the leases' numbers follow the order of the queues.
create function pgqueue._take(
  in worker bigint,
  in picked tid[],
  in queues text[],
  out leases bigint[],
  out jobs bigint[],
  out of_lease bigint[],
  out any_ integer,
  out low bigint,
  out high bigint,
  out spent smallint,
  out special boolean)
language plpgsql
as $$
begin
  with taken as (
    delete from pgqueue.ready r where r.ctid = any(picked)
    returning r.seq, r.job_id, r.queue, r.priority, r.attempt, r.traits),
  listed as materialized (
    select t.queue, array_agg(t.job_id) as jobs, array_agg(t.attempt + 1) as attempts, array_agg(t.traits) as traits, bit_or(t.traits) as any_,
      min(t.job_id) as low, max(t.job_id) as high, max(t.attempt) as spent
    from (select * from taken order by priority desc, case when attempt = 0 and traits & 16384 = 0 then job_id else seq end) t group by t.queue),
  held as (
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    select pgqueue._lease_number(), _take.worker, pgqueue._now(), pgqueue._forget(l.history), l.queue, l.jobs, l.attempts,
      case when l.any_ <> 0 then l.traits end
    from (
      select l.*, q.history from listed l left join pgqueue.queue q on q.name = l.queue order by array_position(queues, l.queue)) l
    returning id, job_ids),
  flat as (select array_agg(e.id) as jobs, array_agg(h.id) as of_lease from held h cross join lateral unnest(h.job_ids) e(id))
  select (select array_agg(h.id) from held h), (select f.jobs from flat f), (select f.of_lease from flat f), bit_or(l.any_ | case when q.rate_limit is not null or q.counted then 16384 else 0 end), min(l.low), max(l.high), max(l.spent),
    bool_or(q.timeout is not null or q.max_attempts is not null)
  into leases, jobs, of_lease, any_, low, high, spent, special
  from listed l left join pgqueue.queue q on q.name = l.queue;
end $$;

-- source: sql/functions/private/_take_key.sql
-- Takes the key of one job that exists already. Returns the job that has it then: this one, or a live one that holds it. Waits for enqueues of this key that are
-- under way. The own row is locked, so that who would replace this job looks again afterwards.
create function pgqueue._take_key(queue text, unique_key text, job bigint) returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_holder record;
begin
  loop
    insert into pgqueue.job_key (queue, unique_key, job_id) values (_take_key.queue, _take_key.unique_key, job) on conflict do nothing;
    exit when found;
    select k.job_id, coalesce(k.until <= v_now or (select l.job_id from pgqueue.left_key l where l.job_id = k.job_id) is not null, false) as gone into v_holder
    from (
      select k.job_id, k.until from pgqueue.job_key k
      where k.queue = _take_key.queue and k.unique_key = _take_key.unique_key offset 0) k  -- the offset: as in _try_keys
    order by k.job_id desc limit 1;
    continue when not found;
    if v_holder.job_id = job then
      perform from pgqueue.job_key k
      where k.queue = _take_key.queue and k.unique_key = _take_key.unique_key and k.job_id = job for update;
      continue when not found;
      exit;
    end if;
    if not v_holder.gone then
      return v_holder.job_id;
    end if;
    exit when pgqueue._seize_key(queue, unique_key, v_holder.job_id, job, null, v_now);
  end loop;
  delete from pgqueue.left_key l where l.job_id = job;  -- what it left before is its own again
  return job;
end $$;

-- source: sql/functions/private/_take_keys.sql
-- Takes the unique keys of new jobs. Returns, parallel to `jobs`, the id that stands for each: its own, or that of the job which holds its key, be it from another transaction or
-- from earlier in the batch; and the jobs, as later ones of the same key may have replaced their arguments. A try that fails gives back what it has locked, as it would deadlock
-- with others on their way through the keys; a single job has locked nothing then.
create function pgqueue._take_keys(inout jobs pgqueue.new_job[], in now_ timestamptz, out ids bigint[])
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_try record;
  v_deadlocks integer := 0;
begin
  if not exists (select from unnest(jobs) j where j.unique_key is not null) then
    ids := array(select j.id from unnest(jobs) with ordinality j order by j.ordinality);
    return;
  end if;
  while cardinality(jobs) = 1 loop
    select t.jobs, t.ids into jobs, ids from pgqueue._try_keys(jobs, now_) t;
    if ids is not null then
      return;
    end if;
  end loop;
  loop
    begin
      select t.jobs, t.ids into v_try from pgqueue._try_keys(jobs, now_) t;
      if v_try.ids is null then
        raise sqlstate 'PQ999';
      end if;
      jobs := v_try.jobs;
      ids := v_try.ids;
      return;
    exception
      when sqlstate 'PQ999' then
        null;
      when deadlock_detected then
        -- The other goes on with what this try gave back. Again and again only when the caller's transaction itself holds what the other wants.
        v_deadlocks := v_deadlocks + 1;
        if v_deadlocks > 3 then
          raise;
        end if;
    end;
  end loop;
end $$;

-- source: sql/functions/private/_thin.sql
-- Deletes jobs that are final and past retention from one block, or, without a range, from what the default partitions hold. Bounded. Outcomes are walked in the
-- order of their ids, and a job row is looked up only for one that is old enough for the shortest retention there is: so that a block in which
-- nothing is due costs one walk. The deletes name the range beside the array, since an array alone would be looked for in every block.
create function pgqueue._thin(low bigint, high bigint) returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_retention interval;
  v_until timestamptz;
  v_jobs bigint[];
  v_first bigint;
  v_last bigint;
begin
  select c.retention into v_retention from pgqueue.config c;
  select max(v_now - r.retention) into v_until
  from (select v_retention as retention union all select q.retention from pgqueue.queue q where q.retention is not null) r;
  if low is null then
    v_jobs := array(
      select o.job_id
      from (select o.job_id, o.finished_at from pgqueue.outcome_default o where o.finished_at <= v_until order by o.job_id) o
      cross join lateral (select j.queue from pgqueue.job_default j where j.id = o.job_id offset 0) j
      where o.finished_at + coalesce((select q.retention from pgqueue.queue q where q.name = j.queue), v_retention) <= v_now
      limit 10000);
  else
    v_jobs := array(
      select o.job_id
      from (
        select o.job_id, o.finished_at from pgqueue.outcome o
        where o.job_id >= _thin.low and o.job_id < _thin.high and o.finished_at <= v_until order by o.job_id) o
      cross join lateral (select j.queue from pgqueue.job j where j.id = o.job_id and j.id >= _thin.low and j.id < _thin.high offset 0) j
      where o.finished_at + coalesce((select q.retention from pgqueue.queue q where q.name = j.queue), v_retention) <= v_now
      limit 10000);
  end if;
  if cardinality(v_jobs) = 0 then
    return 0;
  end if;
  select min(i), max(i) into v_first, v_last from unnest(v_jobs) i;
  perform pgqueue._forget_traces(v_jobs, v_first, v_last);
  delete from pgqueue.attempt_error e where e.job_id between v_first and v_last and e.job_id = any(v_jobs);
  delete from pgqueue.outcome o where o.job_id between v_first and v_last and o.job_id = any(v_jobs);
  delete from pgqueue.job j where j.id between v_first and v_last and j.id = any(v_jobs);
  return cardinality(v_jobs);
end $$;

-- source: sql/functions/private/_tick_call.sql
-- What a schedule of kind sql.query or sql.script hands in at each tick: `args` read as the named arguments of submit_query or submit_script. Fails as a data exception where one cannot be read as
-- the argument's type.
create function pgqueue._tick_call(
  in args jsonb,
  out document jsonb,
  out sql text,
  out params jsonb,
  out owner text,
  out datasource text,
  out role text,
  out settings jsonb,
  out timeout interval,
  out wait_timeout interval,
  out max_age interval,
  out "unique" boolean,
  out read_only boolean,
  out batch_rows integer,
  out max_rows bigint,
  out max_bytes bigint,
  out ttl interval)
language sql stable
as $$
  select args -> 'document', args ->> 'sql', args -> 'params', args ->> 'owner', args ->> 'datasource', args ->> 'role', nullif(args -> 'settings', 'null'),
    pgqueue._interval(args -> 'timeout'), pgqueue._interval(args -> 'wait_timeout'), pgqueue._interval(args -> 'max_age'),
    coalesce((args ->> 'unique')::boolean, true), coalesce((args ->> 'read_only')::boolean, false), (args ->> 'batch_rows')::integer,
    (args ->> 'max_rows')::bigint, (args ->> 'max_bytes')::bigint, pgqueue._interval(args -> 'ttl');
$$;

-- source: sql/functions/private/_tidy_flow.sql
-- Upkeep: who waited for whom, and follow-ups, of jobs whose rows are gone. A slice a pass, as _duty_tidy does it; one by parent and child, since a parent may have a million.
-- And jobs that would wait until a failed one is retried, which it cannot be any more as it is forgotten: they are cancelled. Not those for which parent_look still asks how it ended.
create function pgqueue._tidy_flow() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
as $$
#variable_conflict use_column
declare
  v_parents bigint[];
  v_children bigint[];
  v_jobs bigint[];
  v_rows bigint;
  v_done bigint := 0;
  v_gone bigint[];
  v_child bigint;
  v_traits integer;
  v_was record;
begin
  select array_agg(s.parent_id), array_agg(s.child_id) into v_parents, v_children
  from (
    select d.parent_id, d.child_id from pgqueue.dependency d
    where (d.parent_id, d.child_id) > (pgqueue._slice('dependency'), pgqueue._slice('dependency_child'))
    order by d.parent_id, d.child_id limit 5000) s;
  perform pgqueue._next_slice('dependency', coalesce(v_parents, '{}'), 5000), pgqueue._next_slice('dependency_child', coalesce(v_children, '{}'), 5000);
  delete from pgqueue.dependency d
  where d.ctid = any(array(
    select d.ctid from unnest(v_parents, v_children) s(parent, child)
    cross join lateral (select d.ctid from pgqueue.dependency d where d.parent_id = s.parent and d.child_id = s.child offset 0) d
    where (select j.id from pgqueue.job j where j.id = s.child) is null));
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  v_gone := array(
    select distinct s.parent from unnest(v_parents, v_children) s(parent, child)
    where (select d.policy from pgqueue.dependency d where d.parent_id = s.parent and d.child_id = s.child and not d.counted) = 'wait'
      and (select w.job_id from pgqueue.dependent w where w.job_id = s.child) is not null
      and (select j.id from pgqueue.job j where j.id = s.parent) is null
      and (select b.id from pgqueue.batch b where b.id = s.parent) is null
    limit 100);
  if cardinality(v_gone) > 0 then
    v_gone := array(select g from unnest(v_gone) g where g not in (select l.job_id from pgqueue.parent_look l where l.job_id = any(v_gone)));
    for v_child in
      select distinct s.child from unnest(v_parents, v_children) s(parent, child) where s.parent = any(v_gone) order by 1 limit 1000
    loop
      select bit_or(w.traits) into v_traits from (select w.traits from pgqueue.dependent w where w.job_id = v_child for update skip locked) w;
      continue when v_traits is null or v_traits & 512 <> 0 and pgqueue._try_gates(array[v_child]) = '{}';
      select * into v_was from pgqueue._withdraw(v_child);
      perform pgqueue._finish(array[v_child], array['cancelled'], array['parent_failed'], array[v_was.attempt], array[v_was.traits], null, null, null,
        pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_was.queue)));
      v_done := v_done + 1;
    end loop;
  end if;

  v_jobs := array(
    select f.job_id from pgqueue.follow_up f where f.job_id > pgqueue._slice('follow_up') order by f.job_id limit 5000);
  perform pgqueue._next_slice('follow_up', v_jobs, 5000);
  delete from pgqueue.follow_up f where f.job_id = any(v_jobs) and (select j.id from pgqueue.job j where j.id = f.job_id) is null
    and (select b.id from pgqueue.batch b where b.id = f.job_id) is null;
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  delete from pgqueue.late_follow_up l
  where l.seq = any(array(select l.seq from pgqueue.late_follow_up l order by l.seq limit 1000))
    and l.error is not null and l.made_at < pgqueue._now() - (select c.retention from pgqueue.config c);
  get diagnostics v_rows = row_count;
  return v_done + v_rows;
end $$;

-- source: sql/functions/private/_tidy_starts.sql
-- Part of the duty tidy: starts that no window reaches any more. Each row says when that should be so, and is asked again then: a period may have become longer meanwhile.
create function pgqueue._tidy_starts() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_done bigint := 0;
begin
  for v_round in 1..10 loop
    select * into v_cursor from pgqueue._due_cursor('rate_start');
    v_picked := array(
      select r.ctid from pgqueue.rate_start r
      where r.expires_at < v_now and r.expires_at >= v_cursor.floor order by r.expires_at limit 5000 for update skip locked);
    select r.expires_at into v_first from pgqueue.rate_start r where r.ctid = v_picked[1];
    perform pgqueue._set_due_cursor('rate_start', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
    update pgqueue.rate_start r set expires_at = r.started_at + (select coalesce(q.rate_period, '1 second') from pgqueue.queue q where q.name = r.queue)
    where r.ctid = any(v_picked) and r.started_at >= v_now - (select coalesce(q.rate_period, '1 second') from pgqueue.queue q where q.name = r.queue);
    delete from pgqueue.rate_start r where r.ctid = any(v_picked);
    v_done := v_done + cardinality(v_picked);
    exit when cardinality(v_picked) < 5000;
  end loop;
  for v_round in 1..10 loop
    select * into v_cursor from pgqueue._due_cursor('group_start');
    v_picked := array(
      select r.ctid from pgqueue.group_start r
      where r.expires_at < v_now and r.expires_at >= v_cursor.floor order by r.expires_at limit 5000 for update skip locked);
    select r.expires_at into v_first from pgqueue.group_start r where r.ctid = v_picked[1];
    perform pgqueue._set_due_cursor('group_start', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
    update pgqueue.group_start r set expires_at = r.started_at + pgqueue._group_period(r.queue, r.group_key)
    where r.ctid = any(v_picked) and r.started_at >= v_now - pgqueue._group_period(r.queue, r.group_key);
    delete from pgqueue.group_start r where r.ctid = any(v_picked);
    v_done := v_done + cardinality(v_picked);
    exit when cardinality(v_picked) < 5000;
  end loop;
  return v_done;
end $$;

-- source: sql/functions/private/_timeline_past.sql
-- The part of job_timeline that tells of what has happened while the job waited and ran: attempts, log lines, requests, events. `rank`: the order of what has the same time.
create function pgqueue._timeline_past(job bigint)
returns table (at timestamptz, rank integer, event text, detail text, data jsonb)
language plpgsql
as $$
#variable_conflict use_column
begin
  return query
  select e.failed_at, 50, case e.reason when 'error' then 'attempt failed' when 'timeout' then 'attempt timed out' when 'worker_lost' then 'worker lost' else e.reason end,
    concat_ws(': ', format('attempt %s', e.attempt) || coalesce(' on worker ' || e.worker_id, ''), pgqueue._error_text(e.error)),
    jsonb_build_object('attempt', e.attempt, 'reason', e.reason, 'worker', e.worker_id, 'error', e.error)
  from pgqueue.attempt_error e where e.job_id = job;
  return query
  select l.first_at, 40, 'logged'::text,
    format('%s in attempt %s%s', case l.lines when 1 then 'one line' else l.lines || ' lines' end, l.attempt,
      case when l.lines > 1 then format(', until %s', to_char(l.last_at, 'YYYY-MM-DD HH24:MI:SS OF')) else '' end) || ': ' || left(split_part(l.last, E'\n', 1), 200),
    jsonb_build_object('attempt', l.attempt, 'lines', l.lines, 'first_line', l.first_line, 'last_line', l.last_line, 'last_at', l.last_at, 'levels', l.levels)
  from (
    select n.attempt, sum(n.lines)::bigint as lines, min(n.first_line) as first_line, max(n.last_line) as last_line, min(n.first_at) as first_at, max(n.last_at) as last_at,
      jsonb_object_agg(n.level, n.lines) as levels,
      (select o.message from pgqueue.job_log o where o.job_id = job and o.line = max(n.last_line)) as last
    from (
      select g.attempt, g.level, count(*) as lines, min(g.line) as first_line, max(g.line) as last_line, min(g.at) as first_at, max(g.at) as last_at
      from pgqueue.job_log g where g.job_id = job group by g.attempt, g.level) n
    group by n.attempt) l;
  return query
  select c.requested_at, 30, 'cancel requested'::text, c.why, jsonb_build_object('why', c.why) from pgqueue.cancel_request c
  where c.job_id = job and not exists (select from pgqueue.job_event e where e.job_id = job and e.event = 'cancel requested');
  return query
  select p.heartbeat_at, 45, 'progress'::text, left(p.progress::text, 300), jsonb_build_object('progress', p.progress)
  from pgqueue.progress p where p.job_id = job;
  return query
  select e.at, 35, e.event, pgqueue._event_text(e.data), e.data from pgqueue.job_event e where e.job_id = job;
end $$;

-- source: sql/functions/private/_to_queue.sql
-- What a move to another queue changes beside the place: the job row, the unique key, the slot, and what scripts and queries say of themselves. The caller has taken the jobs from where they waited.
create function pgqueue._to_queue(jobs bigint[], queue text, from_queues text[], traits integer[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_traits integer := (select bit_or(t) from unnest(traits) t);
begin
  -- The identity of a query is a key in no queue, and stays there.
  if v_traits & 2049 <> 0 then
    update pgqueue.job_key k set queue = _to_queue.queue where k.job_id = any(jobs) and k.queue <> '';
  end if;
  update pgqueue.job j set queue = _to_queue.queue
  where j.id between (select min(i) from unnest(jobs) i) and (select max(i) from unnest(jobs) i) and j.id = any(jobs);
  if v_traits & 2 <> 0 then
    perform pgqueue._free_slots(jobs);
  end if;
  if v_traits & 128 <> 0 then
    update pgqueue.script s set queue = _to_queue.queue where s.job_id = any(jobs);
    update pgqueue.query q set queue = _to_queue.queue where q.job_id = any(jobs);
  end if;
  perform pgqueue._note_event(e.id, 'moved', jsonb_build_object('from', e.queue, 'to', _to_queue.queue)) from unnest(jobs, from_queues) e(id, queue);
end $$;

-- source: sql/functions/private/_traits.sql
-- The bit mask of ready and lease (tables/ready.sql), from what a job has.
create function pgqueue._traits(
  unique_key text,
  group_key text,
  timeout interval,
  heartbeat interval,
  expires_at timestamptz) returns integer
language sql immutable
return case when unique_key is null then 0 else 1 end + case when group_key is null then 0 else 2 end
  + case when timeout is null then 0 else 4 end + case when heartbeat is null then 0 else 8 end
  + case when expires_at is null then 0 else 16 end;

-- source: sql/functions/private/_try_batches.sql
-- Locks those batches whose rows these leases carry that nobody else has locked, and returns the leases whose batches are all locked by now; those that carry no rows are among them.
-- It never waits, and so may be called with any lock in hand.
create function pgqueue._try_batches(leases bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_leases bigint[];
  v_batches bigint[];
  v_locked bigint[];
begin
  select array_agg(c.lease), array_agg(c.batch) into v_leases, v_batches
  from (
    select l.id as lease, (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.id) as batch
    from pgqueue.lease l cross join unnest(l.job_ids, l.traits) j(id, traits)
    where l.id = any(leases) and j.traits & 512 <> 0 offset 0) c
  where c.batch is not null;
  if v_leases is null then
    return leases;
  end if;
  v_locked := array(
    select c.batch_id from pgqueue.batch_count c where c.batch_id = any(v_batches) order by c.batch_id for no key update skip locked);
  return array(
    select i from unnest(leases) i
    where i <> all(array(
      select e.lease from unnest(v_leases, v_batches) e(lease, batch)
      where e.batch <> all(v_locked) and (select c.batch_id from pgqueue.batch_count c where c.batch_id = e.batch) is not null)));
end $$;

-- source: sql/functions/private/_try_each.sql
-- _try_on for the jobs of a batch that need it, in the order of their ids. `doubtful`: those that were found locked. A lock that is kept costs a moment each time: after some of those, what was locked
-- is passed over at once, and after some more the batch ends, at `stopped_at`, for another call to go on.
create function pgqueue._try_each(
  in jobs bigint[],
  in doubtful bigint[],
  in action text,
  in subjects jsonb[],
  out done bigint,
  out stopped_at bigint)
language plpgsql
as $$
declare
  v_job bigint;
  v_subject jsonb;
  v_outcome boolean;
  v_waits integer := 0;
begin
  done := 0;
  for v_job, v_subject in
    select e.id, coalesce(e.subject, subjects[1], 'null') from unnest(jobs, subjects) e(id, subject) order by e.id
  loop
    continue when v_waits >= 10 and v_job = any(doubtful);
    v_outcome := pgqueue._try_on(v_job, action, v_subject);
    done := done + case when v_outcome then 1 else 0 end;
    if v_outcome is null then
      v_waits := v_waits + 1;
      if v_waits >= 40 then
        stopped_at := v_job;
        return;
      end if;
    end if;
  end loop;
end $$;

-- source: sql/functions/private/_try_gates.sql
-- Of jobs that are about to be let go or cancelled, those that may be: all but the gates of batches that somebody has locked, an append in an open transaction above all, whom nobody here
-- waits for. One whose batch is forgotten has nobody to lock.
create function pgqueue._try_gates(jobs bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_gates bigint[] := array(select w.job_id from pgqueue.dependent w where w.job_id = any(jobs) and w.traits & 512 <> 0);
  v_batches bigint[] := array(select (select s.batch_id from pgqueue.batch_slice s where s.job_id = g) from unnest(v_gates) g);
begin
  v_batches := array(
    select c.batch_id from pgqueue.batch_count c
    where c.batch_id = any(v_batches) order by c.batch_id for no key update skip locked);
  return array(
    select j from unnest(jobs) j
    where j <> all(v_gates) or coalesce((select s.batch_id = any(v_batches) from pgqueue.batch_slice s where s.job_id = j), true));
end $$;

-- source: sql/functions/private/_try_keys.sql
-- One try at the unique keys of new jobs: see _take_keys. `ids` comes out null when a key has gone to somebody else between two looks; the caller then gives up what this try
-- has locked, and tries again.
--
-- In two rounds, each in the order of (queue, key). The first takes the keys that are free; it waits for who has just taken or freed one. The second is for keys that others hold and
-- that this call may take or change all the same: their holder is gone, or on_duplicate says so. It waits only for others in their second round, as it names rows that
-- were committed before: nobody in it waits for one in the first, so that batches which share keys cannot deadlock. And therefore no key is taken in it that has vanished meanwhile.
create function pgqueue._try_keys(inout jobs pgqueue.new_job[], in now_ timestamptz, out ids bigint[])
language plpgsql
as $$
declare
  v_own bigint[] := array(select j.id from unnest(jobs) with ordinality j order by j.ordinality);
  v_gone boolean[];
  v_rest integer[];
  v_job pgqueue.new_job;
  v_at integer;
  v_queue text;
  v_key text;
  v_until timestamptz;
  v_holder bigint;
  v_mine integer;  -- which of the jobs holds the key, where one does
begin
  insert into pgqueue.job_key (queue, unique_key, job_id, until)
  select j.queue, j.unique_key, j.id, case when j.unique_until = 'period' then now_ + j.unique_for end
  from unnest(jobs) j
  where j.unique_key is not null
  order by j.queue, j.unique_key, j.id
  on conflict do nothing;
  -- An old snapshot may show an ended holder beside this transaction's own. The offset: else the index on job_id is walked for the order.
  select array_agg(case when v.unique_key is null then v.id else h.job_id end order by v.ordinality), array_agg(h.gone order by v.ordinality)
  into ids, v_gone
  from unnest(jobs) with ordinality v
  left join lateral (
    select k.job_id, coalesce(k.until <= now_ or (select l.job_id from pgqueue.left_key l where l.job_id = k.job_id) is not null, false) as gone
    from (select k.job_id, k.until from pgqueue.job_key k where k.queue = v.queue and k.unique_key = v.unique_key offset 0) k
    order by k.job_id desc limit 1) h on true;
  if array_position(ids, null) is not null then
    ids := null;
    return;
  end if;
  if not exists (select from unnest(jobs, ids, v_gone) with ordinality r(id, kind, args, queue, priority, due, unique_key, group_key, max_attempts,
      timeout, expires_at, heartbeat, backoff, headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success,
      on_error, ref, holder, gone, ord) where r.holder <> r.id and (r.gone or r.on_duplicate <> 'return')) then
    return;
  end if;

  -- Each meets what those before it in the call have left.
  v_rest := array(
    select j.ordinality from unnest(jobs) with ordinality j where j.unique_key is not null order by j.queue, j.unique_key, j.ordinality);
  foreach v_at in array v_rest loop
    v_job := jobs[v_at];
    v_until := case when v_job.unique_until = 'period' then now_ + v_job.unique_for end;
    if (v_job.queue, v_job.unique_key) is distinct from (v_queue, v_key) then
      v_queue := v_job.queue;
      v_key := v_job.unique_key;
      v_holder := ids[v_at];
      v_mine := array_position(v_own, v_holder);
    end if;
    if v_holder = v_job.id then
      v_mine := v_at;
    elsif v_mine is null and v_gone[v_at] then
      if not pgqueue._seize_key(v_queue, v_key, v_holder, v_job.id, v_until, now_) then
        ids := null;
        return;
      end if;
      v_holder := v_job.id;
      v_mine := v_at;
    elsif v_job.on_duplicate = 'raise' then
      perform pgqueue._refuse('PQ005',
        case when cardinality(jobs) > 1 then format('element %s: ', v_at) else '' end || format('job %s holds the unique key %L', v_holder, v_key),
        'Without on_duplicate you get the id of that job instead.');
    elsif v_job.on_duplicate in ('replace', 'debounce') and v_mine is not null then
      if v_job.kind <> jobs[v_mine].kind then
        perform pgqueue._refuse('PQ005', format('element %s: element %s holds the unique key %L and is of kind %s, not %s', v_at, v_mine, v_key,
          jobs[v_mine].kind, v_job.kind), 'Arguments are replaced by those of the same kind: give jobs of another kind another key.');
      end if;
      jobs[v_mine].args := v_job.args;
      jobs[v_mine].headers := v_job.headers;
      if v_job.on_duplicate = 'debounce' then
        jobs[v_mine].due := v_job.due;
      end if;
    elsif v_job.on_duplicate in ('replace', 'debounce') then
      v_holder := pgqueue._replace_job(v_job, v_holder, v_until, now_);
      if v_holder is null then
        ids := null;
        return;
      end if;
      v_mine := case when v_holder = v_job.id then v_at end;
    end if;
    ids[v_at] := v_holder;
  end loop;
end $$;

-- source: sql/functions/private/_try_on.sql
-- Does to one job what the function for one job does, as a part of a batch: what that refuses, or what takes a lock that somebody keeps, harms no other job of the batch. True: done; false: refused;
-- null: locked by somebody else. No wait is long, so two batches that meet, or a batch and a worker, cannot stand in each other's way for good, whatever the order of their locks.
create function pgqueue._try_on(job bigint, action text, subject jsonb) returns boolean
language plpgsql
set lock_timeout = '50ms'
as $$
declare
  v_changed boolean;
begin
  case action
    when 'cancel' then
      select c.changed into v_changed from pgqueue.cancel(job, subject #>> '{}') c;
    when 'retry' then
      select c.changed into v_changed from pgqueue.retry(job) c;
      if subject <> 'null' then
        perform pgqueue.reschedule(job, (subject #>> '{}')::timestamptz);
      end if;
    when 'set_priority' then
      perform pgqueue.set_priority(job, subject::integer);
    when 'move' then
      perform pgqueue._move(job, subject #>> '{}');
  end case;
  return coalesce(v_changed, true);
exception
  when sqlstate 'PQ001' or sqlstate 'PQ002' or sqlstate 'PQ005' or sqlstate 'PQ008' or unique_violation then
    return false;
  when lock_not_available or deadlock_detected then
    return null;
end $$;

-- source: sql/functions/private/_try_place.sql
-- Locks the row of a job where it waits, unless another has it: for upkeep, which does not wait for a transaction that is about to cancel the job, to move it or to replace its arguments.
create function pgqueue._try_place(job bigint) returns boolean
language plpgsql
as $$
begin
  perform from pgqueue.ready w where w.ctid = (select r.place from pgqueue._in_ready(job) r) for update skip locked;
  if found then return true; end if;
  perform from pgqueue.scheduled w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.arrival w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.blocked w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.suspect w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.line w where w.job_id = job for update skip locked;
  if found then return true; end if;
  perform from pgqueue.dependent w where w.job_id = job for update skip locked;
  return found;
end $$;

-- source: sql/functions/private/_try_sql_jobs.sql
-- Locks what users lock of scripts and queries that run when they cancel them: the scripts, and the server processes that run their SQL. False when somebody has one of them, for as long as a
-- user's transaction may be; it never waits. Others than scripts and queries have nothing there to lock.
create function pgqueue._try_sql_jobs(jobs bigint[]) returns boolean
language plpgsql
as $$
declare
  v_job bigint;
begin
  foreach v_job in array jobs loop
    perform from pgqueue.script s where s.job_id = v_job for update skip locked;
    if not found and exists (select from pgqueue.script s where s.job_id = v_job) then
      return false;
    end if;
    perform from pgqueue.backend b where b.job_id = v_job for update skip locked;
    if not found and exists (select from pgqueue.backend b where b.job_id = v_job) then
      return false;
    end if;
  end loop;
  return true;
end $$;

-- source: sql/functions/private/_try_tick.sql
-- Enqueues the job of one tick, or says that its key is held, if the schedule is one that is to be told: to try that tick again would be of no use, and one that comes later may find the key free. What
-- else goes wrong is raised.
create function pgqueue._try_tick(schedule pgqueue.schedule, tick timestamptz, out job bigint, out problem text)
language plpgsql
as $$
begin
  if coalesce(schedule.on_duplicate, 'return') = 'return' then
    job := pgqueue._enqueue_tick(schedule, tick);
    return;
  end if;
  begin
    job := pgqueue._enqueue_tick(schedule, tick);
  exception
    when sqlstate 'PQ005' then
      get stacked diagnostics problem = message_text;
      problem := format('the tick of %s was passed over: %s (PQ005)', to_char(tick at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC'), problem);
  end;
end $$;

-- source: sql/functions/private/_turn_before.sql
-- A turn that had been drawn by a time, from `first` on: the last it can find. Jobs' rows tell when their ids were drawn, about: halves the distance to the newest until it is small, by looks at the primary key.
create function pgqueue._turn_before(time_ timestamptz, first bigint) returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_low bigint := first - 1;
  v_high bigint := (select s.last_value from pgqueue.job_id s);
  v_middle bigint;
  v_at timestamptz;
begin
  while v_high > v_low loop
    v_middle := v_low + (v_high - v_low + 1) / 2;
    select j.created_at into v_at from pgqueue.job j where j.id >= v_middle order by j.id limit 1;
    if v_at <= time_ then
      v_low := v_middle;
    else
      v_high := v_middle - 1;
    end if;
  end loop;
  return v_low;
end $$;

-- source: sql/functions/private/_unescaped.sql
-- A value as COPY's text format writes it, without its escapes.
create function pgqueue._unescaped(cell text) returns text
language sql immutable
return case when position('\' in cell) > 0 then array_to_string(array(
  select replace(replace(replace(replace(replace(replace(p.part, '\n', E'\n'), '\t', E'\t'), '\r', E'\r'), '\b', E'\b'), '\f', E'\f'), '\v', E'\x0b')
  from unnest(string_to_array(cell, '\\')) with ordinality p(part, nth) order by p.nth), '\') else cell end;

-- source: sql/functions/private/_unknown_job.sql
-- Refuses an id that is no job's. Who has given that of a batch or slow query is told where to look.
create function pgqueue._unknown_job(job bigint, hint text) returns void
language plpgsql
as $$
begin
  perform pgqueue._refuse('PQ002', format('job %s is unknown', coalesce(job::text, 'null')), coalesce((
    select case b.kind when 'batch' then 'It is a batch: see batch_status and batch_abort.' else 'It is a slow query: see slow_query_status and slow_query_abort.' end
    from pgqueue.batch b where b.id = job), hint));
end $$;

-- source: sql/functions/private/_unknown_schedule.sql
create function pgqueue._unknown_schedule(name text) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_name('name', name, 200);
  perform pgqueue._refuse('PQ002', format('there is no schedule %L', name), 'pgqueue.schedules() lists them.');
end $$;

-- source: sql/functions/private/_unlease.sql
-- Takes jobs out of a lease the caller has locked; the last one deletes it. A job named twice in one call would end twice: refused here, where
-- counting costs nothing. `not in` a subquery is looked up in a hash, whatever joins the caller forbids; `<> all` compares each with each.
create function pgqueue._unlease(lease pgqueue.lease, jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_jobs bigint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  select array_agg(h.id order by h.ord), array_agg(h.attempt order by h.ord), case when (lease).traits is not null then array_agg(h.traits order by h.ord) end
  into v_jobs, v_attempts, v_traits
  from unnest((lease).job_ids, (lease).attempts, (lease).traits) with ordinality h(id, attempt, traits, ord)
  where h.id not in (select j.id from unnest(jobs) j(id));
  if coalesce(cardinality(v_jobs), 0) + cardinality(jobs) <> cardinality((lease).job_ids) then
    perform pgqueue._refuse('PQ001', 'a job appears twice in one call', 'Settle each job once.');
  end if;
  if v_jobs is null then
    delete from pgqueue.lease l where l.id = (lease).id;
  else
    update pgqueue.lease l set job_ids = v_jobs, attempts = v_attempts, traits = v_traits where l.id = (lease).id;
  end if;
end $$;

-- source: sql/functions/private/_waiting.sql
-- Where a job waits, by its id and the lane its row says: its state, and what the row of that place says; no row when it waits nowhere. Inlined, so that it sees what
-- its caller's statement sees: keep it one plain query.
create function pgqueue._waiting(job bigint, queue text, priority smallint)
returns table (state text, priority_now smallint, attempt smallint, run_at timestamptz)
language sql stable
as $$
  select 'queued', w.priority, w.attempt, null::timestamptz from pgqueue.ready w where w.queue = $2 and w.priority = $3 and w.seq = $1
  union all select 'queued', w.priority, w.attempt, null from pgqueue.ready w where w.job_id = $1 and w.seq <> w.job_id
  union all select 'scheduled', w.priority, w.attempt, w.run_at from pgqueue.scheduled w where w.job_id = $1
  union all select 'queued', w.priority, w.attempt, null from pgqueue.arrival w where w.job_id = $1
  union all select 'held', w.priority, w.attempt, null from pgqueue.blocked w where w.job_id = $1
  union all select 'queued', w.priority, w.attempt, null from pgqueue.suspect w where w.job_id = $1
  union all select 'queued', w.priority, w.attempt, null from pgqueue.line w where w.job_id = $1
  union all select 'held', w.priority, w.attempt, null from pgqueue.held w where w.job_id = $1
  union all select 'held', w.priority, w.attempt, w.run_at from pgqueue.dependent w where w.job_id = $1;
$$;

-- source: sql/functions/private/_waits.sql
-- Whether a queue has jobs that a claim might find. From the session's cursors: see _cursor.
create function pgqueue._waits(queue text) returns boolean
language plpgsql
as $$
declare
  v_lane record;
  v_start float8;
  v_cursor record;
  v_first bigint;
begin
  for v_lane in
    select 'ready' as purpose, l.priority from (select distinct l.priority from pgqueue.lane l where l.queue = _waits.queue) l
    union all select 'arrival', 0
  loop
    v_start := date_part('epoch', clock_timestamp());
    select * into v_cursor from pgqueue._cursor(v_lane.purpose, _waits.queue, v_lane.priority);
    if v_start >= v_cursor.expires then
      v_cursor.floor := 0;
    end if;
    if v_lane.purpose = 'ready' then
      select r.seq into v_first from pgqueue.ready r
      where r.queue = _waits.queue and r.priority = v_lane.priority and r.seq >= v_cursor.floor order by r.seq limit 1;
    else
      select a.seq into v_first from pgqueue.arrival a where a.queue = _waits.queue and a.seq >= v_cursor.floor order by a.seq limit 1;
    end if;
    perform pgqueue._set_cursor(v_lane.purpose, _waits.queue, v_lane.priority, v_first, case when v_start >= v_cursor.expires then v_start end, v_cursor.expires);
    if v_first is not null then
      return true;
    end if;
  end loop;
  return false;
end $$;

-- source: sql/functions/private/_wake.sql
-- Tells workers that sleep on a queue that it has work. A commit with a NOTIFY takes a cluster-wide lock, so under load nothing is sent:
-- a sleeper holds two shared advisory locks on its listening connection, and whoever can have the first exclusively, for a moment, knows that
-- nobody sleeps. Who cannot may have met another enqueue there: that one cannot be shared with either, or has just left; so the rare rest is settled
-- by looking the second lock up, which only sleepers ever hold, in the list of locks: exact, and fifty microseconds dear.
-- A full notification queue would make the caller's commit fail: then better no hint; the workers' poll finds the job.
create function pgqueue._wake(queue text) returns void
language plpgsql
as $$
declare
  v_class integer := pgqueue._lock_class('sleep');
  v_key integer := hashtext(_wake.queue);
begin
  if pgqueue._nobody_sleeps(queue) then
    return;
  end if;
  if not pg_try_advisory_lock_shared(v_class, v_key) then
    return;
  end if;
  perform pg_advisory_unlock_shared(v_class, v_key);
  if not exists (
    select from pg_catalog.pg_locks l
    where l.locktype = 'advisory' and l.granted and l.classid::bigint::bit(32)::integer = pgqueue._lock_class('asleep')
      and l.objid::bigint::bit(32)::integer = v_key and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database()))
  then
    return;
  end if;
  if pg_notification_queue_usage() < 0.5 then
    perform pg_notify('pgqueue_wake', _wake.queue);
  end if;
end $$;

-- source: sql/functions/private/_wake_owners.sql
-- Owners whose rate has room again by a time take turns again. Nothing is waited for: what is locked is just being changed by a user, who may
-- yet roll back, or forgotten by another claim: it is looked at a second later.
create function pgqueue._wake_owners(queue text, owners text[], now_ timestamptz) returns void
language sql
as $$
  update pgqueue.owner_turns t set until = null
  where t.ctid = any(array(
    select t.ctid
    from (select o from unnest(owners) o offset 0) w
    cross join lateral (
      select t.ctid from pgqueue.owner_turns t
      where t.queue = $1 and t.owner = w.o and t.until <= now_ for no key update skip locked) t));
  insert into pgqueue.group_wait (at, queue, group_key)
  select now_ + interval '1 second', $1, w.o
  from (select o from unnest(owners) o offset 0) w
  where exists (select from pgqueue.owner_turns t where t.queue = $1 and t.owner = w.o and t.until <= now_);
$$;

-- source: sql/functions/private/_why_apart.sql
-- What `why` says of a queued job that does not stand where the others do: in the line of its owner, or alone after a crash. Null for the others.
create function pgqueue._why_apart(job pgqueue.job_info, name text) returns text
language plpgsql
as $$
declare
  v_ahead bigint;
  v_running bigint;
  v_until timestamptz;
begin
  if exists (select from pgqueue.line l where l.job_id = (job).id) then
    select t.until into v_until from pgqueue.owner_turns t where t.queue = (job).queue and t.owner = (job).group_key;
    if v_until > pgqueue._now() then
      return format('%s waits for its turn: owner %s of queue %s starts at most %s in %s, and has room again at %s.', name, (job).group_key, (job).queue,
        coalesce((select g.rate_limit from pgqueue.group_setting g where g.queue = (job).queue and g.group_key = (job).group_key),
          (select q.group_rate_limit from pgqueue.queue q where q.name = (job).queue)),
        pgqueue._group_period((job).queue, (job).group_key), to_char(v_until, 'YYYY-MM-DD HH24:MI:SS.MS OF'));
    end if;
    v_ahead := (
      select count(*) from pgqueue.line l, pgqueue.line o
      where l.job_id = (job).id and o.queue = l.queue and o.owner = l.owner and (o.priority > l.priority or o.priority = l.priority and o.job_id < l.job_id));
    v_running := (select count(*) from pgqueue.turn t where t.queue = (job).queue and t.owner = (job).group_key);
    return format('%s stands in line in queue %s, where owners take turns: %s of its owner %s in line before it, %s of that owner %s.', name, (job).queue, v_ahead,
      case v_ahead when 1 then 'is' else 'are' end, v_running, case v_running when 1 then 'runs' else 'run' end);
  elsif (job).crashes > 0 then
    return format('%s was in %s crashes and is given out alone, to a worker that holds no other such job.', name, (job).crashes);
  end if;
  return null;
end $$;

-- source: sql/functions/private/_why_batch.sql
-- What `why` says of a batch or slow query.
create function pgqueue._why_batch(batch pgqueue.batch) returns text
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_count pgqueue.batch_count;
  v_queue pgqueue.queue;
  v_runs bigint;
  v_taken bigint;
  v_workers bigint;
  v_name text := case (batch).kind when 'batch' then 'Batch ' else 'Slow query ' end || (batch).id;
begin
  select * into v_count from pgqueue.batch_count c where c.batch_id = (batch).id;
  if (batch).done_at is not null then
    return format('%s is final: it %s at %s%s.', v_name, case (batch).status when 'aborted' then 'was aborted' else (batch).status end,
      to_char((batch).done_at, 'YYYY-MM-DD HH24:MI:SS OF'),
      case (batch).kind when 'batch' then format('; of its %s rows %s succeeded, %s failed, %s were aborted', v_count.rows, v_count.succeeded, v_count.failed, v_count.aborted) end);
  elsif (batch).status = 'held' and (batch).reason is not null then
    return format('%s is being aborted, since one that it depends on has failed: upkeep does it in steps, %s rows are left.', v_name, v_count.pending);
  elsif (batch).status = 'held' and (batch).waits then
    return pgqueue._why_dependent((batch).gate, v_name)
      || case when (batch).hold then format(' It is held besides, with %s rows so far: call pgqueue.batch_release(%s).', v_count.rows, (batch).id) else '' end;
  elsif (batch).status = 'held' then
    return format('%s is held, with %s rows so far: call pgqueue.batch_release(%s).', v_name, v_count.rows, (batch).id);
  end if;

  if (batch).kind = 'batch' then
    v_name := format('%s of the %s rows of batch %s are done', v_count.rows - v_count.pending, v_count.rows, (batch).id);
  else
    v_name := v_name || ' is not done';
  end if;
  select count(*) filter (where s.batch_id is not null), count(*) into v_runs, v_taken
  from (select l.job_ids from pgqueue.lease l where l.queue = (batch).queue offset 0) l
  cross join unnest(l.job_ids) j(id)
  left join lateral (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.id and s.batch_id = (batch).id offset 0) s on true;
  if v_runs > 0 then
    return format('%s; workers have %s.', v_name, case when (batch).kind <> 'batch' then 'it' when v_runs = 1 then 'one slice of it' else v_runs || ' slices of it' end);
  end if;
  select * into v_queue from pgqueue.queue q where q.name = (batch).queue;
  select count(*) into v_workers
  from pgqueue.worker w
  where w.queues @> array[(batch).queue] and w.heartbeat_at >= v_now - (select c.lost_after from pgqueue.config c);
  if v_queue.paused_at is not null then
    return format('%s; queue %s is paused since %s: call pgqueue.resume_queue(%L).', v_name, (batch).queue,
      to_char(v_queue.paused_at, 'YYYY-MM-DD HH24:MI:SS OF'), (batch).queue);
  elsif v_workers = 0 then
    return format('%s; no live worker serves queue %s: start one that has a processor for app %s, op %s.', v_name, (batch).queue, (batch).app, (batch).op);
  elsif v_queue.max_running <= v_taken then
    return format('%s; queue %s runs %s jobs already, its max_running is %s.', v_name, (batch).queue, v_taken, v_queue.max_running);
  end if;
  return format('%s; no worker has more of it just now, %s queue %s. What is ahead of a slice, why says by the id of its job.', v_name,
    case v_workers when 1 then 'one serves' else v_workers || ' serve' end, (batch).queue);
end $$;

-- source: sql/functions/private/_why_behind.sql
-- What `why` says of a queued job that nothing holds back but those before it. They are counted by two walks along the index; as one join it depends on
-- statistics whether the backlog is joined with itself.
create function pgqueue._why_behind(job pgqueue.job_info, name text, running bigint, workers bigint) returns text
language plpgsql
as $$
declare
  v_place record;
  v_ahead bigint;
begin
  select * into v_place from pgqueue._in_ready((job).id);
  v_ahead := (select count(*) from pgqueue.ready o where o.queue = v_place.queue and o.priority > v_place.priority)
    + (select count(*) from pgqueue.ready o where o.queue = v_place.queue and o.priority = v_place.priority and o.seq < v_place.seq);
  if (job).kind = 'keyed.item' then
    return (
      select format('Item %s is pending: %s before it in keyed queue %s, of which %s active.', (job).id,
        case v_ahead when 0 then 'nothing waits' when 1 then 'one waits' else v_ahead || ' wait' end, i.queue,
        case running when 0 then 'nothing is' when 1 then 'one is' else running || ' are' end)
      from pgqueue.keyed_item i where i.job_id = (job).id);
  end if;
  return format('%s is queued: %s ahead of it in queue %s, which %s.', name,
    case v_ahead when 0 then 'nothing is' when 1 then 'one job is' else v_ahead || ' jobs are' end, (job).queue,
    case workers when 1 then 'one worker serves' else workers || ' workers serve' end);
end $$;

-- source: sql/functions/private/_why_dependent.sql
-- Why a job that waits for others waits: how many, and what the first of them does.
create function pgqueue._why_dependent(job bigint, name text) returns text
language plpgsql
as $$
declare
  v_wait record;
  v_parent record;
begin
  select d.pending, d.policy, j.depends_on into v_wait from pgqueue.dependent d join pgqueue.job j on j.id = d.job_id where d.job_id = job;
  select p.id, coalesce(o.state::text, pgqueue._state_if_any(p.id), pgqueue._batch_state(p.id), 'running') as state into v_parent
  from unnest(v_wait.depends_on) p(id)
  left join lateral (select o.state from pgqueue.outcome o where o.job_id = p.id offset 0) o on true
  where (o.state is null or v_wait.policy = 'wait' and o.state <> 'succeeded') and (
    (select j.id from pgqueue.job j where j.id = p.id) is not null or pgqueue._batch_state(p.id) in ('held', 'queued', 'running'))
  order by p.id limit 1;
  return format('%s waits for %s%s.', name, case v_wait.pending when 1 then 'another job' else v_wait.pending || ' other jobs' end,
    case
      when v_parent.id is null then ': they have ended, and upkeep has yet to count them: start a worker, or call pgqueue.maintain() from cron'
      when v_parent.state in ('failed', 'cancelled') then format(', such as %s, which is %s: call pgqueue.retry(%s)', v_parent.id, v_parent.state, v_parent.id)
      else format(', such as %s, which is %s', v_parent.id, v_parent.state) end);
end $$;

-- source: sql/functions/private/_why_group.sql
-- What `why` says of a job that waits for a place of its group, when that is not simply the group's limit; null otherwise.
create function pgqueue._why_group(job bigint, name text) returns text
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_job pgqueue.blocked;
  v_settings pgqueue.queue;
  v_own pgqueue.group_setting;
  v_holder pgqueue.slot;
  v_limit integer;
  v_period interval;
  v_started bigint;
begin
  select * into v_job from pgqueue.blocked b where b.job_id = job;
  if not found then
    return null;
  end if;
  select * into v_settings from pgqueue.queue q where q.name = v_job.queue;
  select * into v_own from pgqueue.group_setting g where g.queue = v_job.queue and g.group_key = v_job.group_key;
  select * into v_holder from pgqueue.slot s
  where s.queue = v_job.queue and s.group_key = v_job.group_key and s.state in (2, 3) order by s.state desc, s.job_id limit 1;
  if v_holder.state = 3 then
    return format('%s waits for job %s, which has failed and blocks group %s of queue %s: retry that job, or call pgqueue.unblock_group(%L, %L).', name, v_holder.job_id,
      v_job.group_key, v_job.queue, v_job.queue, v_job.group_key);
  elsif v_holder.state = 2 then
    return format('%s waits for job %s, which is to run again first: group %s of queue %s keeps strict order.', name, v_holder.job_id, v_job.group_key, v_job.queue);
  end if;
  v_limit := coalesce(v_own.rate_limit, v_settings.group_rate_limit);
  if v_limit is not null then
    v_period := pgqueue._group_period(v_job.queue, v_job.group_key);
    select coalesce(sum(s.jobs), 0) into v_started from pgqueue.group_start s
    where s.queue = v_job.queue and s.group_key = v_job.group_key and s.started_at > v_now - v_period;
    if v_started + (select count(*) from pgqueue.slot s where s.queue = v_job.queue and s.group_key = v_job.group_key and s.state = 0) >= v_limit then
      return format('%s waits for its turn: group %s of queue %s starts at most %s jobs in %s.', name, v_job.group_key, v_job.queue, v_limit, v_period);
    end if;
  end if;
  v_limit := coalesce(v_own.group_limit, v_settings.group_limit);
  if v_limit <= (select count(*) from pgqueue.slot s where s.queue = v_job.queue and s.group_key = v_job.group_key) then
    return format('%s waits for its turn: group %s of queue %s runs at most %s at a time.', name, v_job.group_key, v_job.queue, v_limit);
  elsif v_settings.fair then
    return format('%s waits for its turn: in queue %s groups take turns, and group %s has others before it.', name, v_job.queue, v_job.group_key);
  end if;
  return null;
end $$;

-- source: sql/functions/private/_why_held.sql
-- What `why` says of a job that is held, by what holds it. Null for one that is not.
create function pgqueue._why_held(job pgqueue.job_info, queue pgqueue.queue, name text) returns text
language plpgsql
as $$
declare
  v_batch bigint;
  v_status text;
  v_waits text[];
begin
  if (job).state <> 'held' then
    return null;
  end if;
  select h.batch_id into v_batch from pgqueue.held h where h.job_id = (job).id;
  if found then
    select i.status, i.waits_for into v_status, v_waits from pgqueue.batch b cross join lateral pgqueue._batch_info(b) i where b.id = v_batch;
    return case
      when v_status <> 'held' then format('%s is let go with its batch %s: upkeep brings many slices ten thousand at a time.', name, v_batch)
      when 'parents' = any(v_waits) then format('%s waits for what batch %s waits for: see pgqueue.why(%s).', name, v_batch, v_batch)
      else format('%s waits for the release of batch %s: call pgqueue.batch_release(%s).', name, v_batch, v_batch) end;
  end if;
  if pgqueue._why_group((job).id, name) is not null then
    return pgqueue._why_group((job).id, name);
  end if;
  return format('%s waits for its turn: group %s of queue %s runs at most %s at a time.', name, (job).group_key, (job).queue, (queue).group_limit);
end $$;

-- source: sql/functions/private/_why_limited.sql
-- What `why` says of a queued job whose queue gives out nothing just now because of a limit of its own. Null when there is room.
create function pgqueue._why_limited(job pgqueue.job_info, queue pgqueue.queue, running bigint) returns text
language plpgsql
as $$
begin
  if (queue).max_running <= running then
    return format('Queue %s runs %s jobs already, its max_running is %s.', (job).queue, running, (queue).max_running);
  end if;
  return pgqueue._why_rate((job).queue);
end $$;

-- source: sql/functions/private/_why_moved.sql
-- What `why` says of a job that does not wait in its queue: it is final, it runs, or it waits for a time. Null for the others.
create function pgqueue._why_moved(job pgqueue.job_info, name text) returns text
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
begin
  if (job).state in ('succeeded', 'failed', 'cancelled') then
    return format('%s is final: it %s%s at %s.', name,
      case (job).state when 'cancelled' then 'was cancelled' else (job).state end, coalesce(' (' || (job).reason || ')', ''),
      to_char((job).finished_at, 'YYYY-MM-DD HH24:MI:SS OF'));
  elsif (job).state = 'running' and (job).worker_id = 0 then
    return (
      select format('Item %s is active: a client claimed it %s ago, and last said %s ago that it executes it.', (job).id,
        date_trunc('milliseconds', v_now - i.claimed_at), date_trunc('milliseconds', v_now - i.heartbeat_at))
      from pgqueue.keyed_item i where i.job_id = (job).id);
  elsif (job).state = 'running' then
    return format('%s is running: worker %s claimed it %s ago%s.', name, (job).worker_id, date_trunc('milliseconds', v_now - (job).claimed_at),
      case when (job).cancel_requested then ', and was asked to cancel it' else '' end);
  elsif (job).state = 'scheduled' and (job).run_at > v_now then
    return format('%s waits for %s (in %s)%s.', name, to_char((job).run_at, 'YYYY-MM-DD HH24:MI:SS OF'),
      date_trunc('milliseconds', (job).run_at - v_now),
      case when (job).attempt > 0 then format(', to try again after attempt %s of %s', (job).attempt, (job).max_attempts) else '' end);
  elsif (job).state = 'scheduled' then
    return format('%s has been due since %s, but no upkeep has promoted it: start a worker, or call pgqueue.maintain() from cron.', name,
      to_char((job).run_at, 'YYYY-MM-DD HH24:MI:SS OF'));
  end if;
  return null;
end $$;

-- source: sql/functions/private/_why_rate.sql
-- What `why` says of a queue whose rate is used up; null when it is not.
create function pgqueue._why_rate(queue text) returns text
language plpgsql
as $$
declare
  v_due timestamptz := pgqueue._rate_due(queue);
begin
  return (
    select format('Queue %s starts at most %s jobs in %s: it has room again at %s.', q.name, q.rate_limit, coalesce(q.rate_period, '1 second'),
      to_char(v_due, 'YYYY-MM-DD HH24:MI:SS.MS OF'))
    from pgqueue.queue q where q.name = _why_rate.queue and v_due is not null);
end $$;

-- source: sql/functions/private/_window.sql
-- The first lane of the window that _pick_wide remembers, as queue and priority; null when there is none for these queues or it has expired. Inlined:
-- keep it one expression.
create function pgqueue._window(setting text, queues text[], clock float8) returns text[]
language sql immutable
return case
  when pgqueue._has_window(setting, queues) and split_part(setting, E'\x1e', 2)::float8 > clock
  then string_to_array(split_part(setting, E'\x1e', 3), E'\x1f') end;

-- source: sql/functions/private/_with_literals.sql
-- A statement with its parameters as literals, and without the semicolon that may end it.
create function pgqueue._with_literals(sql text, params jsonb, types text[]) returns text
language plpgsql
as $$
declare
  v_kinds text[];
  v_parts text[];
  v_nth integer;
begin
  select p.kinds, p.parts into v_kinds, v_parts from pgqueue._sql_parts(sql) p;
  for i in 1..cardinality(v_kinds) loop
    if v_kinds[i] = 'param' then
      v_nth := substr(v_parts[i], 2)::integer;
      v_parts[i] := '(' || quote_nullable(pgqueue._param_text(params -> (v_nth - 1), types[v_nth])) || '::' || types[v_nth] || ')';
    elsif v_kinds[i] = 'end' then
      v_parts[i] := ' ';
    end if;
  end loop;
  return array_to_string(v_parts, '');
end $$;

-- source: sql/functions/private/_with_parents.sql
-- New jobs with what they wait for as ids, sorted, each once: refs name other elements of the same call (`jobs`, and `ids`, the jobs that stand for them). Those that others of the call
-- wait for, and those with follow-ups, have it in their traits. A circle is refused; where every ref names an earlier element there can be none.
create function pgqueue._with_parents(jobs pgqueue.new_job[], ids bigint[], new pgqueue.new_job[]) returns pgqueue.new_job[]
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_bad record;
  v_parents bigint[];
begin
  if not exists (select from unnest(new) j where j.depends_on is not null or j.refs is not null or j.on_success is not null or j.on_error is not null)
    and not exists (select from unnest(jobs) j where j.refs is not null or j.ref is not null)
  then
    return new;
  end if;
  if exists (select from unnest(jobs) j where j.refs is not null or j.ref is not null) then
    select j.ref, count(*) as times into v_bad from unnest(jobs) j where j.ref is not null group by j.ref having count(*) > 1 limit 1;
    if found then
      perform pgqueue._refuse('PQ001', format('%s elements have the ref %L', v_bad.times, v_bad.ref), 'A ref names one element of the call.');
    end if;
    select e.ord, r.ref into v_bad
    from unnest(jobs) with ordinality e(id, kind, args, queue, priority, due, unique_key, group_key, max_attempts, timeout, expires_at, heartbeat, backoff,
      headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success, on_error, ref, ord)
    cross join unnest(e.refs) r(ref)
    where r.ref not in (select j.ref from unnest(jobs) j where j.ref is not null)
    order by e.ord limit 1;
    if found then
      perform pgqueue._refuse('PQ001', format('element %s: depends_on names %L, which is no element''s ref', v_bad.ord, v_bad.ref),
        'Give ids of jobs, and refs of elements of the same call.');
    end if;
    perform pgqueue._refuse_circle(jobs);
  end if;

  new := array(
    with named as materialized (
      select j.ref, j.id
      from rows from (unnest(jobs), unnest(ids)) with ordinality j(own_id, kind, args, queue, priority, due, unique_key, group_key, max_attempts, timeout,
        expires_at, heartbeat, backoff, headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success, on_error,
        ref, id, ord)
      where j.ref is not null),
    asked as materialized (
      select n.*, n.ordinality as ord from unnest(new) with ordinality n),
    edge as (
      select a.ord, p.id from asked a cross join lateral unnest(a.depends_on) p(id)
      union
      select a.ord, n.id from asked a cross join lateral unnest(a.refs) r(ref) join named n on n.ref = r.ref),
    parents as materialized (select e.ord, array_agg(e.id order by e.id) as ids from edge e group by e.ord)
    select (a.id, a.kind, a.args, a.queue, a.priority, a.due, a.unique_key, a.group_key, a.max_attempts, a.timeout, a.expires_at, a.heartbeat, a.backoff,
      a.headers, a.traits + case when coalesce(a.on_success, a.on_error) is not null then 8192 else 0 end, a.unique_until, a.unique_for, a.on_duplicate,
      p.ids, null, a.on_parent_failure, a.on_success, a.on_error, a.ref)::pgqueue.new_job
    from asked a left join parents p on p.ord = a.ord
    order by a.ord);
  v_parents := array(select distinct p from unnest(new) n cross join unnest(n.depends_on) p);
  if not exists (select from unnest(new) n where n.id = any(v_parents)) then
    return new;
  end if;
  return array(
    select case when n.id = any(v_parents)
      then (n.id, n.kind, n.args, n.queue, n.priority, n.due, n.unique_key, n.group_key, n.max_attempts, n.timeout, n.expires_at, n.heartbeat, n.backoff,
        n.headers, n.traits + 4096, n.unique_until, n.unique_for, n.on_duplicate, n.depends_on, n.refs, n.on_parent_failure, n.on_success, n.on_error,
        n.ref)::pgqueue.new_job
      else (n.id, n.kind, n.args, n.queue, n.priority, n.due, n.unique_key, n.group_key, n.max_attempts, n.timeout, n.expires_at, n.heartbeat, n.backoff,
        n.headers, n.traits, n.unique_until, n.unique_for, n.on_duplicate, n.depends_on, n.refs, n.on_parent_failure, n.on_success, n.on_error,
        n.ref)::pgqueue.new_job end
    from unnest(new) with ordinality n order by n.ordinality);
end $$;

-- source: sql/functions/private/_withdraw.sql
-- Takes a live job from wherever it waits and says what it was; place is null when it waits nowhere (running, final, or unknown). A claim that has
-- the row locked is waited for: it is short, and afterwards the job is in a lease.
create function pgqueue._withdraw(
  in job bigint,
  out place text,
  out queue text,
  out priority smallint,
  out attempt smallint,
  out traits integer)
language plpgsql
as $$
#variable_conflict use_column
begin
  delete from pgqueue.ready w where w.ctid = (select r.place from pgqueue._in_ready(job) r)
    returning 'ready', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.scheduled w where w.job_id = job
    returning 'scheduled', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.arrival w where w.job_id = job
    returning 'arrival', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.blocked w where w.job_id = job
    returning 'blocked', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.suspect w where w.job_id = job
    returning 'suspect', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.line w where w.job_id = job
    returning 'line', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.held w where w.job_id = job
    returning 'held', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
  if found then return; end if;
  delete from pgqueue.dependent w where w.job_id = job
    returning 'dependent', w.queue, w.priority, w.attempt, w.traits into place, queue, priority, attempt, traits;
end $$;

-- source: sql/functions/private/_withdraw_many.sql
-- Takes plain jobs from where they wait, many at once, and waits for nobody: what another session has locked comes back as place 'locked' and stays. Those with one of `not_traits`, and those that
-- wait elsewhere, are left for the caller to do one by one. In the order of their ids.
create function pgqueue._withdraw_many(jobs bigint[], not_traits integer)
returns table (job_id bigint, place text, queue text, priority smallint, attempt smallint, traits integer, run_at timestamptz)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  return query
  with first_turns as (
    delete from pgqueue.ready r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (select j.id, j.queue, j.priority from pgqueue.job j where j.id = i.id offset 0) j
      cross join lateral (
        select r.ctid from pgqueue.ready r
        where r.queue = j.queue and r.priority = j.priority and r.seq = j.id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits),
  later_turns as (
    delete from pgqueue.ready r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (
        select r.ctid from pgqueue.ready r where r.job_id = i.id and r.seq <> r.job_id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits),
  due as (
    delete from pgqueue.scheduled r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (select r.ctid from pgqueue.scheduled r where r.job_id = i.id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits, r.run_at),
  arrived as (
    delete from pgqueue.arrival r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (select r.ctid from pgqueue.arrival r where r.job_id = i.id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits),
  standing as (
    delete from pgqueue.blocked r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (select r.ctid from pgqueue.blocked r where r.job_id = i.id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits)
  select w.job_id, w.place, w.queue, w.priority, w.attempt, w.traits, w.run_at
  from (
    select w.job_id, 'ready' as place, w.queue, w.priority, w.attempt, w.traits, null::timestamptz as run_at from first_turns w
    union all select w.job_id, 'ready', w.queue, w.priority, w.attempt, w.traits, null from later_turns w
    union all select w.job_id, 'scheduled', w.queue, w.priority, w.attempt, w.traits, w.run_at from due w
    union all select w.job_id, 'arrival', w.queue, w.priority, w.attempt, w.traits, null from arrived w
    union all select w.job_id, 'blocked', w.queue, w.priority, w.attempt, w.traits, null from standing w) w
  order by w.job_id;
  return query
  select i.id, 'locked', null::text, null::smallint, null::smallint, null::integer, null::timestamptz
  from unnest(jobs) i(id)
  where (select r.place from pgqueue._in_ready(i.id) r where r.traits & not_traits = 0) is not null
    or (select r.job_id from pgqueue.scheduled r where r.job_id = i.id and r.traits & not_traits = 0) is not null
    or (select r.job_id from pgqueue.arrival r where r.job_id = i.id and r.traits & not_traits = 0) is not null
    or (select r.job_id from pgqueue.blocked r where r.job_id = i.id and r.traits & not_traits = 0) is not null;
end $$;

-- source: sql/functions/private/_withdraw_or_refuse.sql
-- _withdraw for functions that need a waiting job.
create function pgqueue._withdraw_or_refuse(
  in job bigint,
  out place text,
  out queue text,
  out priority smallint,
  out attempt smallint,
  out traits integer)
language plpgsql
as $$
declare
  v_was record;
begin
  select * into v_was from pgqueue._withdraw(job);
  place := v_was.place;
  queue := v_was.queue;
  priority := v_was.priority;
  attempt := v_was.attempt;
  traits := v_was.traits;
  if place is null then
    perform pgqueue._refuse('PQ005', format('job %s is %s', job, coalesce(pgqueue._standing(job), 'moving just now')),
      'Only a job that waits can be changed: cancel a running one, enqueue or retry a final one.');
  end if;
  if place = 'held' or place = 'dependent' and traits & 512 <> 0 then
    perform pgqueue._refuse('PQ005', format('job %s is held with its batch', job), 'batch_release lets the batch run; its own priority is given when it is submitted.');
  end if;
end $$;

-- source: sql/functions/private/_zone_change.sql
-- When the clocks of a zone change between two moments that have different offsets: the first second of the new one. Halving finds it in seventeen steps for a day.
create function pgqueue._zone_change(after timestamptz, until timestamptz, zone text) returns timestamptz
language plpgsql
as $$
declare
  v_before interval := pgqueue._zone_offset(after, zone);
  v_low bigint := floor(extract(epoch from after));
  v_high bigint := ceil(extract(epoch from until));
  v_middle bigint;
begin
  while v_high - v_low > 1 loop
    v_middle := (v_low + v_high) / 2;
    if pgqueue._zone_offset(to_timestamp(v_middle), zone) = v_before then
      v_low := v_middle;
    else
      v_high := v_middle;
    end if;
  end loop;
  return to_timestamp(v_high);
end $$;

-- source: sql/functions/private/_zone_offset.sql
-- How far the clocks of a zone are ahead of UTC at a moment.
create function pgqueue._zone_offset(at timestamptz, zone text) returns interval
language sql stable
return (at at time zone zone) - (at at time zone 'UTC');

-- source: sql/functions/core/cancel.sql
-- A waiting job is taken from where it waits and is final at once. A running one is asked: its worker is told by a notification and by its next
-- heartbeat. A job that moves between the two looks is looked for again.
create function pgqueue.cancel(id bigint, why text default null)
returns table (state text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_was record;
  v_lease pgqueue.lease;
begin
  -- Before the job is taken from where it waits: an abort of its batch holds this lock and wants that row.
  perform from pgqueue.batch_count c
  where c.batch_id = (select s.batch_id from pgqueue.batch_slice s where s.job_id = cancel.id) for no key update;
  -- The place of a script that is held, then the script, then whatever else it stands in: whoever cancels, moves or releases one goes by this order.
  if exists (select from pgqueue.script s where s.job_id = cancel.id) then
    perform from pgqueue.dependent d where d.job_id = cancel.id for update;
    perform from pgqueue.script s where s.job_id = cancel.id for update;
  end if;
  for v_look in 1..100 loop
    select * into v_was from pgqueue._withdraw(cancel.id);
    if v_was.place is not null then
      if why is not null then
        perform pgqueue._note_event(cancel.id, 'cancel requested', jsonb_build_object('why', cancel.why));
      end if;
      perform pgqueue._finish(array[cancel.id], array['cancelled'], array['cancelled_by_user'], array[v_was.attempt], array[v_was.traits], null,
        null, null, pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_was.queue)));
      return query select 'cancelled', true;
      return;
    end if;
    state := pgqueue._standing(cancel.id);
    if state = 'running' then
      insert into pgqueue.cancel_request (job_id, requested_at, why) values (cancel.id, pgqueue._now(), cancel.why)
      on conflict (job_id) do nothing;
      changed := found;
      v_lease := pgqueue._lease_of(cancel.id);
      if v_lease.worker_id = 0 then
        -- A client has it, who can be told but not asked.
        delete from pgqueue.cancel_request c where c.job_id = cancel.id;
        continue when not pgqueue._keyed_drop(cancel.id, 'cancelled_by_user');
        return query select 'cancelled', true;
        return;
      elsif v_lease.id is not null then
        if changed then
          perform pgqueue._note_event(cancel.id, 'cancel requested', jsonb_build_object('why', cancel.why));
        end if;
        perform pgqueue._sql_job_cancelled(cancel.id);
        if pg_notification_queue_usage() < 0.5 then
          perform pg_notify('pgqueue_worker', v_lease.worker_id::text);
        end if;
        return next;
        return;
      end if;
      delete from pgqueue.cancel_request c where c.job_id = cancel.id;
    elsif state is not null then
      changed := false;
      return next;
      return;
    end if;
  end loop;
  perform pgqueue._refuse('PQ005', format('job %s keeps moving', id), 'Try again.');
end $$;

comment on function pgqueue.cancel is
'Cancels a job. Waiting: it is cancelled at once (state cancelled, changed true). Running: its worker is asked to stop it (state running, changed true the
first time); it ends cancelled unless it finishes first. Final: nothing changes. why: kept with the request, for people. Slices of several batches: a transaction for each, as workers lock several
batches too and go by their order. Errors: PQ002.';

-- source: sql/functions/core/claim.sql
-- Takes up to n jobs for a worker: by priority over all the queues, in turn within a lane, skipping what others have locked. Deletes them from ready by
-- row address, an array of them: a join or an IN would be planned from statistics that are always stale here. One lease row per queue, however
-- many jobs. The plans are pinned for the same reason: no sequential or bitmap scan of a table whose dead rows nobody may remove,
-- no nested loop over arrays.
--
-- One plain lane, the usual case, is served in four statements here. plpgsql starts the executor anew for every statement and prepares every
-- expression anew in every transaction, which is most of what a claim costs: so fewer and larger ones are the faster.
--
-- Locks: the jobs taken (skip locked), groups (only tried), and, for queues with max_running or a rate, the queue's limiter.
create function pgqueue.claim(
  worker bigint,
  queues text[],
  n integer default 1,
  urgent boolean default false)
returns table (
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
set enable_seqscan = off
set jit = off
set enable_bitmapscan = off
set enable_nestloop = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_clock float8 := date_part('epoch', clock_timestamp());
  v_setting text := coalesce(current_setting('pgqueue.view', true), '');
  v_wide boolean := cardinality(queues) > 8 or v_setting <> '' and pgqueue._has_window(v_setting, queues);
  v_window text[];
  v_highest smallint;
  v_grouped boolean;
  v_settings integer;
  v_known boolean;
  v_suspects boolean;
  v_lanes pgqueue.lane_in_view[];
  v_alone boolean;
  v_queue text;
  v_priority smallint;
  v_floor bigint;
  v_expires float8;
  v_forget smallint;
  v_special boolean;
  v_swept float8;
  v_picked tid[];
  v_older tid[];
  v_first bigint;
  v_leases bigint[];
  v_jobs bigint[];
  v_of_lease bigint[];
  v_any integer;
  v_low bigint;
  v_high bigint;
  v_spent smallint;
begin
  if v_wide then
    if not urgent and v_setting <> '' then
      v_window := pgqueue._window(v_setting, queues, v_clock);
    end if;
    select exists (select from pgqueue.worker w where w.id = claim.worker), exists (select from pgqueue.suspect),
      case when v_window is not null then array(select l from pgqueue._lane(v_window[1], v_window[2]::smallint) l) end
    into v_known, v_suspects, v_lanes;
  else
    -- All there is to know when the first queue is the only one and has one lane.
    select exists (select from pgqueue.worker w where w.id = claim.worker), exists (select from pgqueue.suspect),
      min(l.priority), max(l.priority), bool_or(l.grouped), (select pgqueue._plain_settings(q) from pgqueue.queue q where q.name = queues[1])
    into v_known, v_suspects, v_priority, v_highest, v_grouped, v_settings
    from pgqueue.lane l where l.queue = queues[1];
  end if;
  if not coalesce(v_known and n between 1 and 10000 and array_ndims(queues) = 1 and array_position(queues, null) is null, false) then
    perform pgqueue._check_claim(worker, queues, n);
  end if;
  if v_suspects then
    v_leases := array[pgqueue._claim_suspect(worker, queues)];
    if v_leases[1] is not null then
      return query select * from pgqueue._leased(v_leases);
      return;
    end if;
  end if;

  v_alone := cardinality(queues) = 1 and v_priority = v_highest and not v_grouped and coalesce(v_settings, 0) >= 0;
  if v_alone then
    v_queue := queues[1];
    v_setting := current_setting(pgqueue._cursor_name('ready', v_queue, v_priority), true);
    v_floor := pgqueue._floor_of(v_setting, pgqueue._cursor_owner('ready', v_queue, v_priority));
    v_expires := pgqueue._expiry_of(v_setting, pgqueue._cursor_owner('ready', v_queue, v_priority));
    v_forget := coalesce(v_settings & 3, 0);
    v_special := v_settings & 4 <> 0;
  elsif not v_wide then
    v_lanes := array(select l from pgqueue._lanes(queues) l);
  elsif v_lanes[1].max_running is null then
    v_alone := v_lanes[1].queue is not null;
    v_queue := v_lanes[1].queue;
    v_priority := v_lanes[1].priority;
    v_floor := v_lanes[1].floor;
    v_expires := v_lanes[1].expires;
    v_forget := v_lanes[1].forget;
    v_special := v_lanes[1].special;
  end if;
  if v_alone then
    -- From the cursor first. A sweep from the start follows when the cursor has expired, so that what was committed late with an earlier turn is
    -- found, and goes first when full scans from the cursor would put it off for ever. Who is urgent sweeps only for want of anything else.
    for v_try in 1..4 loop
      if v_clock > v_expires + 1 and not urgent then
        v_swept := v_clock;
        v_floor := 0;
      end if;
      select array_agg(r.ctid), min(r.seq) into v_picked, v_first
      from (
        select r.ctid, r.seq from pgqueue.ready r
        where r.queue = v_queue and r.priority = v_priority and r.seq >= v_floor
        order by r.seq limit n for update skip locked) r;
      exit when v_picked is not null or not v_wide;
      -- The first lane of the window has nothing more: the next becomes the first. After a few, _pick_wide looks at several at a time.
      select l.queue, l.priority, l.floor, l.expires, l.forget, l.special into v_queue, v_priority, v_floor, v_expires, v_forget, v_special
      from pgqueue._next_in_window() l where l.max_running is null;
      exit when not found;
      v_swept := null;
    end loop;
    if coalesce(cardinality(v_picked), 0) < n then
      if v_wide then
        v_alone := false;
      elsif v_floor > 0 and (urgent and v_picked is null or not urgent and v_clock > v_expires) then
        v_swept := date_part('epoch', clock_timestamp());
        v_older := array(
          select r.ctid from pgqueue.ready r
          where r.queue = v_queue and r.priority = v_priority and r.seq < v_floor
          order by r.seq limit n - coalesce(cardinality(v_picked), 0) for update skip locked);
        v_picked := v_older || v_picked;
      end if;
    end if;
  end if;
  if v_alone then
    if v_first is null and v_swept is not null then
      select s.last_value into v_first from pgqueue.job_id s;
    end if;
    if v_first is not null then
      if v_swept is not null then
        v_expires := pgqueue._sweep_again(v_swept);
      end if;
      v_setting := set_config(pgqueue._cursor_name('ready', v_queue, v_priority),
        pgqueue._cursor_text('ready', v_queue, v_priority, v_first, v_expires), false);
    end if;
  elsif v_wide or cardinality(v_lanes) > 32 then
    v_picked := pgqueue._pick_wide(queues, n, urgent);
  elsif cardinality(v_lanes) > 0 then
    v_picked := (pgqueue._pick(v_lanes, n, urgent)).picked;
  end if;
  if coalesce(cardinality(v_picked), 0) = 0 then
    return;
  end if;

  if v_alone then
    with taken as (
      delete from pgqueue.ready r where r.ctid = any(v_picked)
      returning r.seq, r.job_id, r.attempt, r.traits),
    listed as materialized (
      select array_agg(t.job_id) as jobs, array_agg(t.attempt + 1) as attempts, array_agg(t.traits) as traits, bit_or(t.traits) as any,
        min(t.job_id) as low, max(t.job_id) as high, max(t.attempt) as spent
      from (select * from taken order by case when attempt = 0 then job_id else seq end) t),
    held as (
      insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
      select pgqueue._lease_number(), claim.worker, pgqueue._now(), v_forget, v_queue, l.jobs, l.attempts, case when l.any <> 0 then l.traits end
      from listed l
      returning id)
    select array[h.id], l.jobs, l.any, l.low, l.high, l.spent into v_leases, v_jobs, v_any, v_low, v_high, v_spent
    from listed l cross join held h;
  else
    select t.leases, t.jobs, t.of_lease, t.any_, t.low, t.high, t.spent, t.special into v_leases, v_jobs, v_of_lease, v_any, v_low, v_high, v_spent, v_special
    from pgqueue._take(worker, v_picked, queues) t;
  end if;
  if v_spent > 0 or v_special or v_any & 19568 <> 0 then
    if v_any & 1024 <> 0 then
      v_leases := pgqueue._keyed_claimed(v_leases);
    end if;
    if v_any & 16 <> 0 then
      v_leases := pgqueue._drop_expired(v_leases);
    end if;
    if v_any & 2048 <> 0 then
      v_leases := pgqueue._give_up_keys(v_leases);
    end if;
    if v_any & 16384 <> 0 then
      perform pgqueue._starts(v_leases);
      if not v_alone and cardinality(v_picked) < n then
        v_leases := v_leases || pgqueue._further_rounds(worker, queues, n - cardinality(v_picked), urgent);
      end if;
    end if;
    return query select * from pgqueue._leased(v_leases);
    return;
  end if;
  if cardinality(v_leases) > 1 then
    return query
    with job as materialized (
      select * from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs))
    select e.lease, j.id, j.queue, j.kind, j.args, 1, coalesce(j.max_attempts, 5::smallint)::integer, j.priority::integer, j.timeout,
      j.heartbeat, j.headers, j.group_key, j.unique_key, 0, j.created_at
    from job j join unnest(v_jobs, v_of_lease) e(id, lease) on e.id = j.id
    order by j.priority desc, e.lease, j.id;
    return;
  end if;
  if v_alone then
    -- Without a sort: it would copy every row once more, and the index gives an array of ids in their order.
    return query
    select v_leases[1], j.id, j.queue, j.kind, j.args, 1, coalesce(j.max_attempts, 5::smallint)::integer, j.priority::integer, j.timeout,
      j.heartbeat, j.headers, j.group_key, j.unique_key, 0, j.created_at
    from pgqueue.job j
    where j.id between v_low and v_high and j.id = any(v_jobs);
    return;
  end if;
  return query
  select v_leases[1], j.id, j.queue, j.kind, j.args, 1, coalesce(j.max_attempts, 5::smallint)::integer, j.priority::integer, j.timeout,
    j.heartbeat, j.headers, j.group_key, j.unique_key, 0, j.created_at
  from pgqueue.job j
  where j.id between v_low and v_high and j.id = any(v_jobs)
  order by j.priority desc, j.id;
end $$;

comment on function pgqueue.claim is
'Takes up to n jobs (1 to 10000) of these queues for a worker, in the order to start them: higher priority first, then first come first served; none when
there is nothing to do. Each row names the lease that its settle, heartbeat and progress must carry. attempt counts from 1. A job that has been in a
crash comes alone.
urgent: somebody waits for the answer, as after a wake-up: look from where the last claim stopped and further back only if that finds nothing. Errors: PQ001 bad arguments, PQ003 unknown worker.';

-- source: sql/functions/core/configure.sql
create function pgqueue.configure(settings jsonb default '{}')
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_hint constant text := 'Keys: lost_after, retention, block_age, sql_timeout, result_ttl, keyed_ttl, log_retention, metric_retention (seconds or interval text), max_crashes, block_size, '
    'blocks_ahead, script_max_chars, script_max_waiting, result_max_bytes, result_max_rows, job_log_lines, job_log_chars (whole numbers).';
  v_key text;
  v_problem text;
begin
  if settings is null or jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', coalesce(jsonb_typeof(settings), 'null')), v_hint);
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key not in ('lost_after', 'retention', 'block_age', 'max_crashes', 'block_size', 'blocks_ahead', 'script_max_chars', 'script_max_waiting', 'sql_timeout', 'result_ttl', 'keyed_ttl',
      'result_max_bytes', 'result_max_rows', 'log_retention', 'job_log_lines', 'job_log_chars', 'metric_retention') then
      perform pgqueue._refuse('PQ001', format('%L is not a setting', v_key), v_hint);
    end if;
  end loop;
  begin
    perform pgqueue._check_interval(k, pgqueue._interval(settings -> k), true) from unnest(array['lost_after', 'block_age', 'sql_timeout', 'result_ttl', 'keyed_ttl']) k;
    perform pgqueue._check_interval(k, pgqueue._interval(settings -> k), false) from unnest(array['retention', 'log_retention', 'metric_retention']) k;
    update pgqueue.config c set
      lost_after = case when settings ? 'lost_after' then pgqueue._interval(settings -> 'lost_after') else c.lost_after end,
      retention = case when settings ? 'retention' then pgqueue._interval(settings -> 'retention') else c.retention end,
      block_age = case when settings ? 'block_age' then pgqueue._interval(settings -> 'block_age') else c.block_age end,
      max_crashes = case when settings ? 'max_crashes' then (settings ->> 'max_crashes')::smallint else c.max_crashes end,
      block_size = case when settings ? 'block_size' then (settings ->> 'block_size')::bigint else c.block_size end,
      blocks_ahead = case when settings ? 'blocks_ahead' then (settings ->> 'blocks_ahead')::smallint else c.blocks_ahead end,
      script_max_chars = case when settings ? 'script_max_chars' then (settings ->> 'script_max_chars')::integer else c.script_max_chars end,
      script_max_waiting = case when settings ? 'script_max_waiting' then (settings ->> 'script_max_waiting')::integer else c.script_max_waiting end,
      sql_timeout = case when settings ? 'sql_timeout' then pgqueue._interval(settings -> 'sql_timeout') else c.sql_timeout end,
      result_ttl = case when settings ? 'result_ttl' then pgqueue._interval(settings -> 'result_ttl') else c.result_ttl end,
      keyed_ttl = case when settings ? 'keyed_ttl' then pgqueue._interval(settings -> 'keyed_ttl') else c.keyed_ttl end,
      result_max_bytes = case when settings ? 'result_max_bytes' then (settings ->> 'result_max_bytes')::bigint else c.result_max_bytes end,
      result_max_rows = case when settings ? 'result_max_rows' then (settings ->> 'result_max_rows')::bigint else c.result_max_rows end,
      log_retention = case when settings ? 'log_retention' then pgqueue._interval(settings -> 'log_retention') else c.log_retention end,
      job_log_lines = case when settings ? 'job_log_lines' then (settings ->> 'job_log_lines')::integer else c.job_log_lines end,
      job_log_chars = case when settings ? 'job_log_chars' then (settings ->> 'job_log_chars')::integer else c.job_log_chars end,
      metric_retention = case when settings ? 'metric_retention' then pgqueue._interval(settings -> 'metric_retention') else c.metric_retention end
    where settings <> '{}';
  exception
    when data_exception or check_violation or not_null_violation then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, v_hint);
  end;
  return (select to_jsonb(c) - 'singleton' from pgqueue.config c);
end $$;

comment on function pgqueue.configure is
'Changes settings of this installation and returns all of them; without arguments it only returns them. lost_after: a worker silent for longer is lost
(30 seconds). max_crashes: a job that was in that many crashes fails as worker_lost (5). retention: how long final jobs are kept where the queue does not
say (7 days). block_size, blocks_ahead, block_age: ids per partition, partitions made ahead, and the age at which a partition is closed. script_max_chars,
script_max_waiting: how large a script may be and how many an owner may have waiting (16,384 and 64). sql_timeout: how long one query of a script, or a query, may run (12
hours). result_ttl, result_max_bytes, result_max_rows: how long results of queries are kept, and how large they may be (1 hour, 1 GiB, no limit).
keyed_ttl: how long results of keyed queues are kept (5 minutes).
log_retention: how long query_log remembers (90 days). job_log_lines, job_log_chars: how many lines a job''s log keeps, and how many characters of a line (1,000 and
8,192). metric_retention: how long throughput remembers (7 days). Errors: PQ001.';

-- source: sql/functions/core/configure_queue.sql
create function pgqueue.configure_queue(queue text, settings jsonb)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_hint constant text := 'Keys: max_running, group_limit, max_attempts, rate_limit, group_rate_limit, max_queued (whole numbers), timeout, retention, rate_period, '
    'group_rate_period, ageing (seconds or interval text), backoff (object), history (all, failed or none), fair (true or false), group_failure (release or block), '
    'group_order (free or strict), dead_letter_queue (name of another queue); null clears.';
  v_key text;
  v_problem text;
begin
  perform pgqueue._check_name('queue', queue, 200);
  if settings is null or jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', coalesce(jsonb_typeof(settings), 'null')), v_hint);
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key not in ('max_running', 'group_limit', 'max_attempts', 'timeout', 'backoff', 'retention', 'history', 'rate_limit', 'rate_period',
      'group_rate_limit', 'group_rate_period', 'fair', 'group_failure', 'group_order', 'max_queued', 'ageing', 'dead_letter_queue') then
      perform pgqueue._refuse('PQ001', format('%L is not a setting of a queue', v_key), v_hint);
    end if;
  end loop;
  perform pgqueue._check_backoff(nullif(settings -> 'backoff', 'null'));
  if nullif(settings -> 'dead_letter_queue', 'null') is not null then
    if jsonb_typeof(settings -> 'dead_letter_queue') <> 'string' then
      perform pgqueue._refuse('PQ001', format('dead_letter_queue is %s, not text', jsonb_typeof(settings -> 'dead_letter_queue')), 'Give the name of a queue as a string.');
    end if;
    perform pgqueue._check_name('dead_letter_queue', settings ->> 'dead_letter_queue', 200);
    if settings ->> 'dead_letter_queue' = queue then
      perform pgqueue._refuse('PQ001', format('queue %L would be its own dead letter queue', queue), 'Name another queue: what fails there would come back for ever.');
    end if;
  end if;

  begin
    perform pgqueue._check_interval('timeout', pgqueue._interval(settings -> 'timeout'), true);
    perform pgqueue._check_interval('retention', pgqueue._interval(settings -> 'retention'), false);
    perform pgqueue._check_interval(k, pgqueue._interval(settings -> k), true) from unnest(array['rate_period', 'group_rate_period', 'ageing']) k;
    insert into pgqueue.queue (name, updated_at) values (configure_queue.queue, pgqueue._now()) on conflict do nothing;
    update pgqueue.queue q set
      max_running = case when settings ? 'max_running' then (settings ->> 'max_running')::integer else q.max_running end,
      group_limit = case when settings ? 'group_limit' then (settings ->> 'group_limit')::integer else q.group_limit end,
      max_attempts = case when settings ? 'max_attempts' then (settings ->> 'max_attempts')::smallint else q.max_attempts end,
      timeout = case when settings ? 'timeout' then pgqueue._interval(settings -> 'timeout') else q.timeout end,
      backoff = case when settings ? 'backoff' then nullif(settings -> 'backoff', 'null') else q.backoff end,
      retention = case when settings ? 'retention' then pgqueue._interval(settings -> 'retention') else q.retention end,
      history = case when settings ? 'history' then settings ->> 'history' else q.history end,
      dead_letter_queue = case when settings ? 'dead_letter_queue' then settings ->> 'dead_letter_queue' else q.dead_letter_queue end,
      rate_limit = case when settings ? 'rate_limit' then (settings ->> 'rate_limit')::integer else q.rate_limit end,
      rate_period = case when settings ? 'rate_period' then pgqueue._interval(settings -> 'rate_period') else q.rate_period end,
      group_rate_limit = case when settings ? 'group_rate_limit' then (settings ->> 'group_rate_limit')::integer else q.group_rate_limit end,
      group_rate_period = case when settings ? 'group_rate_period' then pgqueue._interval(settings -> 'group_rate_period') else q.group_rate_period end,
      fair = case when settings ? 'fair' then nullif(settings -> 'fair', 'null')::boolean else q.fair end,
      group_failure = case when settings ? 'group_failure' then settings ->> 'group_failure' else q.group_failure end,
      group_order = case when settings ? 'group_order' then settings ->> 'group_order' else q.group_order end,
      max_queued = case when settings ? 'max_queued' then (settings ->> 'max_queued')::integer else q.max_queued end,
      ageing = case when settings ? 'ageing' then pgqueue._interval(settings -> 'ageing') else q.ageing end,
      updated_at = pgqueue._now()
    where q.name = configure_queue.queue;
  exception
    when data_exception or check_violation then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, v_hint);
  end;
  if nullif(settings -> 'max_running', 'null') is not null or nullif(settings -> 'rate_limit', 'null') is not null then
    insert into pgqueue.limiter (queue) values (configure_queue.queue) on conflict do nothing;
  end if;
  if settings ->> 'group_failure' = 'release' or settings -> 'group_failure' = 'null' then
    delete from pgqueue.slot s where s.queue = configure_queue.queue and s.state = 3;
  end if;
  if nullif(settings -> 'max_queued', 'null') is not null then
    perform nextval('pgqueue.bounded');
  end if;
  if settings ->> 'group_order' = 'free' or settings -> 'group_order' = 'null' then
    delete from pgqueue.slot s where s.queue = configure_queue.queue and s.state = 2;
  end if;
  if settings ?| array['fair', 'group_rate_limit', 'group_rate_period'] then
    perform pgqueue._no_longer_counted(queue);
  end if;
  if settings ?| array['group_order', 'group_limit', 'group_rate_limit', 'group_rate_period', 'fair', 'group_failure'] then
    -- More room, or no limit any more, frees jobs that nothing else would look at again.
    insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), 0, 0, 0, g.queue, g.group_key
    from (select distinct b.queue, b.group_key from pgqueue.blocked b where b.queue = configure_queue.queue) g;
  end if;
  perform pgqueue._wake(queue);
  return pgqueue._queue_settings(queue);
end $$;

comment on function pgqueue.configure_queue is
'Changes settings of a queue and returns all of them. Keys given are set, null clears, others stay. A queue needs no settings to be used.
max_running: jobs running at once, over all workers.
group_limit: jobs of one group_key ready or running at once. max_attempts (5), timeout, backoff: for jobs that bring none. retention: how long final
jobs are kept. history: all, failed (forget what succeeded) or none. dead_letter_queue: where a copy of every task goes that fails for good, once for each, with headers
{"dead_letter": {"job", "queue", "reason", "error", "attempts", "path"}}; a copy that fails goes on to no queue where it has failed before.
rate_limit, rate_period (1 second): so many starts in any time of that length; group_rate_limit, group_rate_period: the same for each group, up to 10000.
fair: groups take turns, by their weights (configure_group). group_order: free, or strict: a job keeps its group''s place while it waits for a retry. group_failure:
release, or block: a job that has failed keeps its group''s place until it is retried or unblock_group is called. max_queued: enqueue refuses
(PQ008) while more would wait. ageing: who has waited that long is served with the queue''s highest priority. Errors: PQ001.';

-- source: sql/functions/core/deregister_worker.sql
-- Leases are named by array: as in worker_heartbeat. Locks: the worker, all its leases, then the batches of its slices, before any of them is given back: a settle holds its lease while
-- it waits for a batch.
create function pgqueue.deregister_worker(worker bigint)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set jit = off
as $$
declare
  v_lease pgqueue.lease;
  v_held bigint[];
  v_done integer := 0;
begin
  perform from pgqueue.worker w where w.id = deregister_worker.worker for update;
  perform pgqueue._check_worker(worker);
  v_held := array(select l.id from pgqueue.lease l where l.worker_id = deregister_worker.worker);
  perform from pgqueue.lease l where l.id = any(v_held) and l.worker_id = deregister_worker.worker order by l.id for update;
  perform pgqueue._lock_batches(v_held);
  for v_lease in
    select l.* from pgqueue.lease l where l.id = any(v_held) and l.worker_id = deregister_worker.worker order by l.id for update
  loop
    v_done := v_done + pgqueue._give_back(v_lease);
  end loop;
  delete from pgqueue.worker w where w.id = deregister_worker.worker;
  return v_done;
end $$;

comment on function pgqueue.deregister_worker is
'Ends a worker in order. Jobs it still holds go back to their queues, no attempt spent; returns their number. Errors: PQ003 unknown worker.';

-- source: sql/functions/core/enqueue.sql
-- Writes one job inside the caller's transaction. Locks: none that another caller needs, but for two enqueues of one unique key, which meet on the
-- key's index entry: the second waits until the first transaction ends, then answers with the first's id, or makes the job itself
-- when the first was rolled back.
create function pgqueue.enqueue(
  kind text,
  args jsonb default '{}',
  queue text default 'default',
  priority integer default 0,
  run_at timestamptz default null,
  delay interval default null,
  unique_key text default null,
  group_key text default null,
  max_attempts integer default null,
  timeout interval default null,
  expires_in interval default null,
  heartbeat interval default null,
  backoff jsonb default null,
  headers jsonb default null,
  unique_by text[] default null,
  unique_until text default null,
  unique_for interval default null,
  on_duplicate text default null,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (id bigint, created boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_due timestamptz;
  v_expires_at timestamptz;
  v_traits integer;
  v_holder record;
begin
  -- In every transaction plpgsql prepares each expression anew that it comes across, which is most of what an enqueue costs: so a plain job, in
  -- order and without options, passes in one of them and takes the short way.
  if length(kind) <= 200 and length(queue) <= 200 and kind ~ '^[^\x01-\x1f\x7f-\x9f]+$' and queue ~ '^[^\x01-\x1f\x7f-\x9f]+$'
    and kind not in ('sql.query', 'sql.script', 'rows.slice', 'rows.slow', 'rows.gate', 'rows.done', 'keyed.item')
    and jsonb_typeof(args) = 'object' and priority between -32768 and 32767
    and num_nonnulls(run_at, delay, unique_key, group_key, max_attempts, timeout, expires_in, heartbeat, backoff, headers,
      unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error) = 0
  then
    id := nextval('pgqueue.job_id');
    created := true;
    insert into pgqueue.job (id, created_at, priority, queue, kind, args)
    values (enqueue.id, v_now, enqueue.priority, enqueue.queue, enqueue.kind, enqueue.args);
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select enqueue.id, enqueue.id, 0, enqueue.priority, 0, enqueue.queue
    where pg_sequence_last_value('pgqueue.bounded') is null or not pgqueue._bounded(enqueue.queue);
    if not found then
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      values (enqueue.id, enqueue.id, 0, enqueue.priority, 0, enqueue.queue);
      perform pgqueue._open_lane(queue, priority::smallint, false);
      perform pgqueue._refuse_if_full(queue, array[enqueue.id]);
    end if;
    if not pgqueue._lane_known(queue, priority) then
      perform pgqueue._open_lane(queue, priority::smallint, false);
    end if;
    if not pgqueue._nobody_sleeps(queue) then
      perform pgqueue._wake(queue);
    end if;
    return next;
    return;
  end if;

  perform pgqueue._check_job(kind, args, queue, priority, run_at, delay, unique_key, group_key, max_attempts, timeout, expires_in, heartbeat, backoff,
    headers);
  v_due := coalesce(run_at, v_now + delay);
  v_expires_at := v_now + expires_in;
  if num_nonnulls(unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error) > 0 then
    perform pgqueue._check_flow(unique_key, unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error);
    select s.id, s.created into id, created
    from pgqueue._store_jobs(array[(
      nextval('pgqueue.job_id'), kind, args, queue, priority, coalesce(v_due, v_now),
      coalesce(unique_key, pgqueue._derived_key(kind, args, unique_by)), group_key, max_attempts, timeout, v_expires_at, heartbeat, backoff, headers, 0,
      case when unique_for is not null then 'period' when unique_until = 'start' then 'start' end, unique_for, on_duplicate, depends_on, null,
      on_parent_failure, on_success, on_error, null)::pgqueue.new_job], v_now) s;
    if created and coalesce(v_due, v_now) <= v_now then
      perform pgqueue._refuse_if_full(queue, array[id]);
    end if;
    return next;
    return;
  end if;
  v_traits := pgqueue._traits(unique_key, group_key, timeout, heartbeat, v_expires_at);
  id := nextval('pgqueue.job_id');
  created := true;

  if unique_key is not null then
    loop
      insert into pgqueue.job_key (queue, unique_key, job_id) values (enqueue.queue, enqueue.unique_key, id)
      on conflict do nothing;
      exit when found;
      select k.job_id, coalesce(k.until <= v_now or (select l.job_id from pgqueue.left_key l where l.job_id = k.job_id) is not null, false) as gone into v_holder
      from (select k.job_id, k.until from pgqueue.job_key k where k.queue = enqueue.queue and k.unique_key = enqueue.unique_key offset 0) k
      order by k.job_id desc limit 1;  -- an old snapshot may show an ended holder beside this transaction's own. The offset: as in _try_keys
      if found and not v_holder.gone then
        id := v_holder.job_id;
        created := false;
        return next;
        return;
      end if;
      -- Its holder ended between the two statements, and the key is free again; or it holds the key no more.
      id := nextval('pgqueue.job_id');
      exit when found and pgqueue._seize_key(queue, unique_key, v_holder.job_id, id, null, v_now);
    end loop;
  end if;

  insert into pgqueue.job (id, created_at, expires_at, timeout, heartbeat, priority, max_attempts, queue, kind, unique_key, group_key,
    args, backoff, headers)
  values (enqueue.id, v_now, v_expires_at, enqueue.timeout, enqueue.heartbeat, enqueue.priority, enqueue.max_attempts, enqueue.queue,
    enqueue.kind, enqueue.unique_key, enqueue.group_key, enqueue.args, enqueue.backoff, enqueue.headers);
  if v_expires_at is not null then
    insert into pgqueue.deadline (expires_at, job_id) values (v_expires_at, enqueue.id);
  end if;
  if v_due > v_now then
    insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
    values (v_due, enqueue.id, v_traits, enqueue.priority, 0, enqueue.queue);
  else
    if group_key is not null then
      insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
      values (enqueue.id, enqueue.id, v_traits, enqueue.priority, 0, enqueue.queue, enqueue.group_key);
    else
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      values (enqueue.id, enqueue.id, v_traits, enqueue.priority, 0, enqueue.queue);
    end if;
    perform pgqueue._open_lane(queue, priority::smallint, group_key is not null);
    perform pgqueue._refuse_if_full(queue, array[id]);
    perform pgqueue._wake(queue);
  end if;
  return next;
end $$;

comment on function pgqueue.enqueue is
'Enqueues one job in the caller''s transaction: it exists once that commits, and never did if it rolls back.
kind: the name of what to do; those of queries, scripts, rows and keyed items, which have functions of their own, are refused. args: a JSON object. priority: -32768 to 32767, higher first. run_at or delay: not before then.
unique_key: while a job with this key lives in the queue, its id is returned with created = false. When the first enqueue of the key is not yet committed,
the second waits for it: it gets the first''s id after a commit and makes the job itself after a rollback.
group_key: jobs of a queue with one key share its group_limit and take turns; without a group_limit it changes nothing. max_attempts, timeout, backoff: null means the queue''s own.
timeout: how long one attempt may run. expires_in: fails with queue_timeout if it has not started by then. heartbeat: the job promises job_heartbeat at
least this often, or counts as lost. headers: an object for tools, not shown to the handler as arguments.
unique_by: the key is derived from the kind and these members of args, {} meaning all of them. unique_until: the key is given up at the job''s finish, or at its first
start. unique_for: instead, it is held for that long from now on, whatever becomes of the job. on_duplicate: what an enqueue of a held key does: return the holder,
replace the args and headers of one that still waits, debounce (replace, and move it to the new time), or raise (PQ005).
depends_on: ids of jobs that must end first; it is held until then. on_parent_failure: when one of them fails or is cancelled, cancel this job too, run it
all the same, or wait until that one has been retried; once that one is forgotten, so is the wait: it is cancelled. on_success, on_error: a job, or an array of jobs, as enqueue_many takes them, enqueued when this one
succeeds, or fails or is cancelled; its "pass_as" names the argument that receives the result or the error.
Errors: PQ001 for any argument that is out of range, PQ002 for an unknown id in depends_on, PQ005 on_duplicate raise, PQ008 when the queue is full (max_queued);
nothing is stored then.';

-- source: sql/functions/core/enqueue_each.sql
-- The fast way to enqueue many jobs of one kind: two array-shaped inserts. With keys, groups or anything else that makes a job more than itself it goes the general way of enqueue_many.
create function pgqueue.enqueue_each(
  kind text,
  args jsonb[],
  queue text default 'default',
  priority integer default 0,
  run_at timestamptz default null,
  delay interval default null,
  unique_keys text[] default null,
  group_keys text[] default null,
  max_attempts integer default null,
  timeout interval default null,
  expires_in interval default null,
  heartbeat interval default null,
  backoff jsonb default null,
  headers jsonb default null,
  unique_by text[] default null,
  unique_until text default null,
  unique_for interval default null,
  on_duplicate text default null,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (id bigint, created boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_due timestamptz;
  v_expires_at timestamptz;
  v_traits integer := 0;
  v_count integer := coalesce(cardinality(args), 0);
  v_bad record;
  v_ids bigint[];
  v_objects boolean;
begin
  -- Plain jobs pass in one expression and one look at their arguments: as in enqueue.
  select array_agg(nextval('pgqueue.job_id')), bool_and(coalesce(jsonb_typeof(e), 'null') = 'object') into v_ids, v_objects from unnest(args) e;
  if not coalesce(
    v_objects and array_ndims(args) = 1 and length(kind) <= 200 and length(queue) <= 200 and kind ~ '^[^\x01-\x1f\x7f-\x9f]+$'
      and kind not in ('sql.query', 'sql.script', 'rows.slice', 'rows.slow', 'rows.gate', 'rows.done', 'keyed.item')
      and queue ~ '^[^\x01-\x1f\x7f-\x9f]+$' and priority between -32768 and 32767
      and num_nonnulls(run_at, delay, unique_keys, group_keys, max_attempts, timeout, expires_in, heartbeat, backoff, headers,
        unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error) = 0,
    false)
  then
    if args is null or array_ndims(args) > 1 then
      perform pgqueue._refuse('PQ001', format('args is %s', case when args is null then 'null' else 'an array of arrays' end),
        'Give an array of objects, one for each job; an empty array enqueues nothing.');
    end if;
    if cardinality(unique_keys) <> v_count or cardinality(group_keys) <> v_count then
      perform pgqueue._refuse('PQ001', format('args has %s elements, unique_keys %s, group_keys %s', v_count,
        coalesce(cardinality(unique_keys)::text, 'is null'), coalesce(cardinality(group_keys)::text, 'is null')),
        'Give arrays of the same length, or null.');
    end if;
    perform pgqueue._check_job(kind, '{}', queue, priority, run_at, delay, null, null, max_attempts, timeout, expires_in, heartbeat, backoff, headers);
    perform pgqueue._check_flow(unique_keys[1], unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error);
    select e.ord, jsonb_typeof(e.args) as what into v_bad
    from unnest(args) with ordinality e(args, ord)
    where e.args is null or jsonb_typeof(e.args) <> 'object' order by e.ord limit 1;
    if found then
      perform pgqueue._refuse('PQ001', format('args of element %s is %s, not an object', v_bad.ord, coalesce(v_bad.what, 'null')),
        'Give the arguments by name, such as {"user_id": 42}, or {} for none.');
    end if;
    if v_count = 0 then
      return;
    end if;
  end if;

  v_due := coalesce(run_at, v_now + delay);
  if num_nonnulls(unique_keys, group_keys, unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error) > 0 then
    v_expires_at := v_now + expires_in;
    perform pgqueue._check_names('unique_key', unique_keys, 500);
    perform pgqueue._check_names('group_key', group_keys, 500);
    return query
    select s.id, s.created
    from pgqueue._store_jobs(array(
      select (
        e.id, kind, e.args, queue, priority, coalesce(v_due, v_now), coalesce(e.unique_key, pgqueue._derived_key(kind, e.args, unique_by)), e.group_key, max_attempts,
        timeout, v_expires_at, heartbeat, backoff, headers, 0, case when unique_for is not null then 'period' when unique_until = 'start' then 'start' end, unique_for,
        on_duplicate, depends_on, null, on_parent_failure, on_success, on_error, null)::pgqueue.new_job
      from unnest(v_ids, enqueue_each.args, unique_keys, group_keys) with ordinality e(id, args, unique_key, group_key, ord) order by e.ord), v_now) s;
    if coalesce(v_due, v_now) <= v_now then
      perform pgqueue._refuse_if_full(queue, v_ids);
    end if;
    return;
  end if;

  if num_nonnulls(timeout, heartbeat, expires_in) > 0 then
    v_expires_at := v_now + expires_in;
    v_traits := pgqueue._traits(null, null, timeout, heartbeat, v_expires_at);
  end if;
  insert into pgqueue.job (id, created_at, expires_at, timeout, heartbeat, priority, max_attempts, queue, kind, args, backoff, headers)
  select e.id, v_now, v_expires_at, enqueue_each.timeout, enqueue_each.heartbeat, enqueue_each.priority, enqueue_each.max_attempts,
    enqueue_each.queue, enqueue_each.kind, e.args, enqueue_each.backoff, enqueue_each.headers
  from unnest(v_ids, enqueue_each.args) e(id, args);
  if v_expires_at is not null then
    insert into pgqueue.deadline (expires_at, job_id) select v_expires_at, e.id from unnest(v_ids) e(id);
  end if;
  if v_due > v_now then
    insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
    select v_due, e.id, v_traits, enqueue_each.priority, 0, enqueue_each.queue from unnest(v_ids) e(id);
  else
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select e.id, e.id, v_traits, enqueue_each.priority, 0, enqueue_each.queue from unnest(v_ids) e(id)
    where pg_sequence_last_value('pgqueue.bounded') is null or not pgqueue._bounded(enqueue_each.queue);
    if not found then
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      select e.id, e.id, v_traits, enqueue_each.priority, 0, enqueue_each.queue from unnest(v_ids) e(id);
      perform pgqueue._open_lane(queue, priority::smallint, false);
      perform pgqueue._refuse_if_full(queue, v_ids);
    end if;
    if not pgqueue._lane_known(queue, priority) then
      perform pgqueue._open_lane(queue, priority::smallint, false);
    end if;
    if not pgqueue._nobody_sleeps(queue) then
      perform pgqueue._wake(queue);
    end if;
  end if;
  return query select e.id, true from unnest(v_ids) e(id);
end $$;

comment on function pgqueue.enqueue_each is
'Enqueues many jobs of one kind with shared options, the fastest way in: one row per element of args, in input order. The parameters are those of
enqueue; unique_keys and group_keys, when given, are parallel to args. All or nothing. Errors: PQ001, naming the element, PQ008 when not all of them fit into the queue.';

-- source: sql/functions/core/enqueue_many.sql
-- Many jobs of any kinds in one statement, each element with the meaning it would have in enqueue.
create function pgqueue.enqueue_many(jobs jsonb)
returns table (id bigint, created boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_bad record;
  v_element jsonb;
  v_at bigint := 0;
  v_jobs pgqueue.new_job[];
  v_problem text;
  v_advice text;
begin
  if jobs is null or jsonb_typeof(jobs) <> 'array' then
    perform pgqueue._refuse('PQ001', format('jobs is %s, not an array', coalesce(jsonb_typeof(jobs), 'null')),
      'Give an array of objects, such as [{"kind": "mail", "args": {"to": "ada"}}].');
  end if;
  select e.ord, k.key into v_bad
  from jsonb_array_elements(jobs) with ordinality e(job, ord)
  left join lateral (
    select k.key from jsonb_object_keys(case when jsonb_typeof(e.job) = 'object' then e.job else '{}' end) k(key)
    where k.key not in ('kind', 'args', 'queue', 'priority', 'run_at', 'delay', 'unique_key', 'group_key', 'max_attempts', 'timeout',
      'expires_in', 'heartbeat', 'backoff', 'headers', 'unique_by', 'unique_until', 'unique_for', 'on_duplicate', 'depends_on', 'on_parent_failure',
      'on_success', 'on_error', 'ref') limit 1) k on true
  where jsonb_typeof(e.job) <> 'object' or k.key is not null
  order by e.ord limit 1;
  if found then
    perform pgqueue._refuse('PQ001',
      case when v_bad.key is null then format('element %s is not an object', v_bad.ord)
        else format('element %s has an unknown key %L', v_bad.ord, v_bad.key) end,
      'Each element is an object; its keys are the names of the parameters of enqueue.');
  end if;

  begin
    for v_element in select e.job from jsonb_array_elements(jobs) with ordinality e(job, ord) order by e.ord loop
      v_at := v_at + 1;
      v_jobs[v_at] := pgqueue._new_job(v_element, v_now);
    end loop;
  exception
    when data_exception or sqlstate 'PQ001' then
      get stacked diagnostics v_problem = message_text, v_advice = pg_exception_hint;
      perform pgqueue._refuse('PQ001', format('element %s: %s', v_at, v_problem),
        coalesce(nullif(v_advice, ''), 'The values are those of the parameters of enqueue; intervals are seconds or text such as ''5 minutes''.'));
  end;
  if v_jobs is null then
    return;
  end if;

  return query select s.id, s.created from pgqueue._store_jobs(v_jobs, v_now) s;
  perform pgqueue._refuse_if_full(q.queue, q.ids)
  from (
    select j.queue, array_agg(j.id) as ids from unnest(v_jobs) j where j.due <= v_now group by j.queue) q;
end $$;

comment on function pgqueue.enqueue_many is
'Enqueues an array of jobs in the caller''s transaction: one row per element, in input order. The keys of an element are the names of the parameters
of enqueue, with the same defaults and meaning, and null means not given; intervals are seconds or text such as "5 minutes". Two elements with one unique key make one job: the
second gets the first''s id with created = false. An element may have a "ref", and depends_on may hold refs of other elements beside ids: one call makes a whole graph;
a circle is refused. All or nothing. Errors: PQ001, naming the element; unknown keys are refused; PQ008 when
not all of them fit into their queue.';

-- source: sql/functions/core/job_heartbeat.sql
create function pgqueue.job_heartbeat(lease bigint, job bigint, progress jsonb default null)
returns table (alive boolean, cancel_requested boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  alive := exists (select from pgqueue.lease l where l.id = job_heartbeat.lease and l.job_ids @> array[job_heartbeat.job]);
  cancel_requested := alive and exists (select from pgqueue.cancel_request c where c.job_id = job_heartbeat.job);
  if alive then
    insert into pgqueue.progress (job_id, lease_id, heartbeat_at, progress)
    values (job_heartbeat.job, job_heartbeat.lease, pgqueue._now(), job_heartbeat.progress)
    on conflict (job_id) do update
    set lease_id = excluded.lease_id, heartbeat_at = excluded.heartbeat_at, progress = coalesce(excluded.progress, progress.progress);
  end if;
  return next;
end $$;

comment on function pgqueue.job_heartbeat is
'Says that a running job gets on, with any JSON as its progress (null leaves the last one). alive = false: the lease does not hold the job any more, stop
working on it; nothing was written. cancel_requested: a cancel was asked for.';

-- source: sql/functions/core/maintain.sql
-- One pass of upkeep. Safe to run twice and anywhere; two at once would only be in each other's way, so the second does nothing. Each duty has its own
-- failure, which is reported and leaves the others alone. Locks are waited for briefly: what is busy now is done in the next pass. Those that lock whole
-- tables, for dropping and attaching partitions, come last: their locks are held until the end of the pass. And rescue comes first, which waits for batches and must have nothing in
-- hand then; so the order is always the same.
create function pgqueue.maintain(duties text[] default null)
returns table (duty text, done bigint, error text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_all constant text[] := array['rescue', 'promote', 'schedules', 'expire', 'dependents', 'admit', 'tidy', 'results', 'metrics', 'retention', 'blocks'];
begin
  if not duties <@ v_all then
    perform pgqueue._refuse('PQ001', format('unknown duty in %s', duties), format('Duties are %s; null means all.', array_to_string(v_all, ', ')));
  end if;
  if not pg_try_advisory_xact_lock(pgqueue._lock_class('lead'), 2) then
    return;
  end if;
  foreach duty in array array(select a.name from unnest(v_all) with ordinality a(name, nth) where duties is null or a.name = any(duties) order by a.nth) loop
    error := null;
    begin
      done := case duty
        when 'rescue' then pgqueue._duty_rescue() + pgqueue._duty_overdue()
        when 'promote' then pgqueue._duty_promote() + pgqueue._duty_rates()
        when 'schedules' then pgqueue._duty_schedules()
        when 'expire' then pgqueue._duty_expire()
        when 'dependents' then pgqueue._duty_dependents() + pgqueue._duty_leaving()
        when 'admit' then pgqueue._duty_admit() + pgqueue._duty_age()
        when 'blocks' then pgqueue._duty_blocks()
        when 'retention' then pgqueue._duty_retention()
        when 'tidy' then pgqueue._duty_tidy() + pgqueue._tidy_starts()
        when 'results' then pgqueue._duty_results()
        when 'metrics' then pgqueue._duty_metrics() end;
    exception
      when others then
        done := 0;
        get stacked diagnostics error = message_text;
        error := format('%s (%s)', error, sqlstate);
    end;
    return next;
  end loop;
end $$;

comment on function pgqueue.maintain is
'One pass of upkeep, what the leading worker runs every second or so; without such a worker call it from cron. duties: some of rescue (lost workers, overdue
jobs), promote (due jobs, rates that have room again), schedules (due schedules), expire (queue timeouts), dependents (jobs that wait for others), admit (groups, ageing), tidy (rows nobody needs), results (results of queries,
scripts and audit rows that have expired), metrics (counts what has ended, for throughput), retention (history that is past), blocks (partitions ahead);
null means all. Returns what each did, or its error. No row: another pass is under way. Errors: PQ001.';

-- source: sql/functions/core/next_due.sql
create function pgqueue.next_due()
returns timestamptz
language sql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
  select least(
    (select s.run_at from pgqueue.scheduled s
     where s.run_at >= (select d.floor from pgqueue._due_cursor('due') d) order by s.run_at limit 1),
    (select s.due_at from pgqueue.schedule s
     where s.due_at >= (select d.floor from pgqueue._due_cursor('schedules') d) order by s.due_at limit 1),
    (select w.at from pgqueue.group_wait w
     where w.at >= (select d.floor from pgqueue._due_cursor('group_wait') d) order by w.at limit 1),
    (select min(pgqueue._rate_due(q.name)) from pgqueue.queue q where q.rate_limit is not null),
    (select pgqueue._now() from pgqueue.parent_look p
     where not p.parked and p.seq >= (select c.floor from pgqueue._cursor('parents', '', 0) c) order by p.seq limit 1));
$$;

comment on function pgqueue.next_due is
'When upkeep is next due: for a scheduled job or a schedule, for a rate that has room again, or now, when jobs wait to be told that others have ended; null when there is no such time.';

-- source: sql/functions/core/pause_queue.sql
create function pgqueue.pause_queue(queue text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 200);
  insert into pgqueue.queue (name, updated_at) values (pause_queue.queue, pgqueue._now()) on conflict do nothing;
  update pgqueue.queue q set paused_at = pgqueue._now(), updated_at = pgqueue._now()
  where q.name = pause_queue.queue and q.paused_at is null;
  return found;
end $$;

comment on function pgqueue.pause_queue is
'Stops claims from a queue, now and after restarts, until resume_queue. What runs goes on; enqueue goes on. Returns whether that changed anything. A queue
nobody has used yet can be paused. Errors: PQ001.';

-- source: sql/functions/core/register_worker.sql
create function pgqueue.register_worker(
  name text,
  queues text[],
  concurrency integer default 1,
  info jsonb default '{}')
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_id bigint;
begin
  perform pgqueue._check_name('name', name, 200);
  perform pgqueue._check_queues(queues);
  if concurrency is null or concurrency < 1 then
    perform pgqueue._refuse('PQ001', format('concurrency is %s', coalesce(concurrency::text, 'null')), 'Give a whole number of at least 1.');
  end if;
  insert into pgqueue.worker (name, queues, concurrency, info, started_at, heartbeat_at)
  values (register_worker.name, register_worker.queues, register_worker.concurrency, coalesce(register_worker.info, '{}'), v_now, v_now)
  returning id into v_id;
  return v_id;
end $$;

comment on function pgqueue.register_worker is
'Registers a worker and returns its id, which every claim and heartbeat names. A worker must call worker_heartbeat more often than the setting lost_after
(30 seconds by default), or its jobs are given to others. name, queues, concurrency and info are for people to read. Errors: PQ001.';

-- source: sql/functions/core/reschedule.sql
create function pgqueue.reschedule(id bigint, run_at timestamptz)
returns table (state text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_was record;
  v_now timestamptz := pgqueue._now();
  v_due timestamptz;
begin
  if run_at is null then
    perform pgqueue._refuse('PQ001', 'run_at is null', 'Give a time; one that has passed means at once.');
  end if;
  perform pgqueue._check_time('run_at', run_at);
  update pgqueue.dependent d set run_at = case when reschedule.run_at > v_now then reschedule.run_at end where d.job_id = reschedule.id and d.traits & 512 = 0;
  if found then
    perform pgqueue._note_event(id, 'rescheduled', jsonb_build_object('from', null, 'to', reschedule.run_at));
    return query select 'held', true;
    return;
  end if;
  select s.run_at into v_due from pgqueue.scheduled s where s.job_id = reschedule.id;
  select * into v_was from pgqueue._withdraw_or_refuse(id);
  if v_was.traits & 2049 <> 0 and pgqueue._retake_key(id) is not null then
    perform pgqueue._refuse('PQ005', format('another job is about to take the unique key of job %s', id), 'Try again: within a second or two it is decided which of them stays.');
  end if;
  if run_at > v_now then
    perform pgqueue._schedule(array[id], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], array[run_at]);
  else
    perform pgqueue._enter(array[id], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits],
      v_was.place in ('ready', 'suspect'));
  end if;
  perform pgqueue._note_event(id, 'rescheduled', jsonb_build_object('from', case when v_was.place = 'scheduled' then v_due end, 'to', reschedule.run_at));
  return query select case when run_at > v_now then 'scheduled' else 'queued' end, true;
end $$;

comment on function pgqueue.reschedule is
'Moves a waiting job to another time, or to now when that time has passed. One that waits for other jobs goes on waiting, and runs not before that time. Errors: PQ001, PQ002, PQ005 when it is running or final.';

-- source: sql/functions/core/result.sql
create function pgqueue.result(id bigint)
returns table (state text, reason text, result jsonb, error jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_outcome record;
begin
  -- The state first: a job settled between two looks at its outcome would come without its result.
  state := pgqueue._state(result.id, true);
  if state in ('succeeded', 'failed', 'cancelled') then
    select o.state::text, o.reason, o.result into v_outcome
    from pgqueue.outcome o where o.job_id = result.id;
    if found then
      state := v_outcome.state;
      reason := v_outcome.reason;
      result := v_outcome.result;
    elsif exists (select from pgqueue.batch b where b.id = result.id) then
      select r.reason, r.result, r.error into reason, result, error from pgqueue._batch_result(result.id) r;
      return next;
      return;
    else
      state := pgqueue._state(result.id);  -- retried just now
    end if;
  end if;
  if state in ('failed', 'cancelled') then
    error := (select e.error from pgqueue.attempt_error e where e.job_id = result.id and e.reason <> 'follow_up' order by e.failed_at desc limit 1);
  end if;
  return next;
end $$;

comment on function pgqueue.result is
'The state of a job, and when it is final its reason, result and last error. Of a batch: held, queued, running, succeeded, failed (reason error) or cancelled (reason aborted, or parent_failed); its
result is {"succeeded", "failed", "aborted"}, how many rows. Of a slow query the same, its result what its processor gave. Errors: PQ002 unknown job, or one whose queue keeps no
history.';

-- source: sql/functions/core/resume_queue.sql
create function pgqueue.resume_queue(queue text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 200);
  update pgqueue.queue q set paused_at = null, updated_at = pgqueue._now()
  where q.name = resume_queue.queue and q.paused_at is not null;
  if not found then
    return false;
  end if;
  perform pgqueue._wake(queue);
  return true;
end $$;

comment on function pgqueue.resume_queue is
'Lets claims from a paused queue go on. Returns whether it was paused. Errors: PQ001.';

-- source: sql/functions/core/retry.sql
create function pgqueue.retry(id bigint)
returns table (state text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_job pgqueue.job;
  v_state text;
  v_was jsonb;
  v_holder bigint;
begin
  select * into v_job from pgqueue.job j where j.id = retry.id;
  -- The outcome row is the lock: two retries at once find it gone.
  delete from pgqueue.outcome o where o.job_id = retry.id and o.state <> 'succeeded' 
  returning o.state::text, jsonb_build_object('state', o.state, 'reason', o.reason, 'attempt', o.attempt, 'finished_at', o.finished_at) into v_state, v_was;
  if not found then
    v_state := pgqueue._standing(retry.id);
    perform pgqueue._refuse('PQ005', format('job %s is %s', id, coalesce(v_state, 'waiting to run')),
      case when v_state = 'succeeded' then 'Only failed and cancelled jobs can be retried; enqueue a new one.' else 'It will run anyway.' end);
  end if;
  if v_job.unique_key is not null and v_job.unique_until is distinct from 'period' then
    v_holder := pgqueue._take_key(v_job.queue, v_job.unique_key, v_job.id);
    if v_holder <> id then
      perform pgqueue._refuse('PQ005', format('job %s holds the unique key of job %s', v_holder, id), 'Cancel that job first, or leave it to do the work.');
    end if;
  end if;
  if v_job.kind = 'sql.script' then
    perform pgqueue._refuse('PQ005', format('job %s is a script', id), 'A script runs once: submit it again.');
  end if;
  if v_job.kind in ('rows.slice', 'rows.slow', 'rows.gate') then
    perform pgqueue._refuse('PQ005', format('job %s %s a batch', id, case v_job.kind when 'rows.gate' then 'stood for' else 'carried rows of' end), 'What became of them is recorded: submit them again.');
  end if;
  if v_job.kind = 'keyed.item' then
    perform pgqueue._refuse('PQ005', format('job %s was an item of a keyed queue', id), 'What it asked for is gone: add its key again.');
  end if;
  delete from pgqueue.cancel_request c where c.job_id = retry.id;
  if v_job.kind = 'sql.query' then
    update pgqueue.query_run r set outcome = null, reason = null, error = null, ended_at = null, expires_at = null, forget_at = null, updated_at = pgqueue._now()
    where r.job_id = retry.id;
    if not found then
      perform pgqueue._refuse('PQ005', format('the text of query %s is forgotten', id), 'It is past log_retention: submit it again.');
    end if;
  end if;
  perform pgqueue._note_event(retry.id, 'retried', v_was);
  if v_job.depends_on is not null and pgqueue._hold_again(v_job) then
    return query select 'held', true;
    return;
  end if;
  perform pgqueue._enter(array[v_job.id], array[v_job.queue], array[v_job.priority], array[0]::smallint[],
    array[pgqueue._traits(case when v_job.unique_until is null then v_job.unique_key end, v_job.group_key, v_job.timeout, v_job.heartbeat, null)
      + case when v_job.unique_until = 'start' then 2048 else 0 end + case when v_job.kind = 'sql.query' then 128 else 0 end + pgqueue._flow_traits(v_job.id)
      + case when exists (select from pgqueue.slot s where s.job_id = retry.id) then 32768 else 0 end], false);
  return query select 'queued', true;
end $$;

comment on function pgqueue.retry is
'Runs a failed or cancelled job again, with all its attempts; the errors of the earlier ones stay. Its queue timeout no longer counts. It waits for
those of its parents that live again, and its follow-ups are enqueued again when it ends. Errors: PQ002 unknown
job, PQ005 when it is live or has succeeded, when another live job has its unique key, or when it is a script, of a batch, a keyed item, or a query past log_retention.';

-- source: sql/functions/core/set_priority.sql
create function pgqueue.set_priority(id bigint, priority integer)
returns table (state text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_was record;
  v_due timestamptz;
begin
  perform pgqueue._check_priority(priority);
  update pgqueue.dependent d set priority = set_priority.priority, traits = d.traits | 64
  where d.job_id = set_priority.id and d.traits & 512 = 0
  returning (
    select coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = j.id), j.priority) from pgqueue.job j where j.id = d.job_id) as priority
  into v_was;
  if found then
    insert into pgqueue.changed_priority (job_id, priority) values (set_priority.id, set_priority.priority)
    on conflict (job_id) do update set priority = excluded.priority;
    if v_was.priority <> set_priority.priority then
      perform pgqueue._note_event(id, 'priority changed', jsonb_build_object('from', v_was.priority, 'to', set_priority.priority));
    end if;
    return query select 'held', v_was.priority <> set_priority.priority;
    return;
  end if;
  select s.run_at into v_due from pgqueue.scheduled s where s.job_id = set_priority.id;
  select * into v_was from pgqueue._withdraw_or_refuse(id);
  insert into pgqueue.changed_priority (job_id, priority) values (set_priority.id, set_priority.priority)
  on conflict (job_id) do update set priority = excluded.priority;
  if v_was.place = 'scheduled' then
    perform pgqueue._schedule(array[id], array[v_was.queue], array[set_priority.priority::smallint], array[v_was.attempt],
      array[v_was.traits | 64], array[v_due]);
  else
    perform pgqueue._enter(array[id], array[v_was.queue], array[set_priority.priority::smallint], array[v_was.attempt],
      array[v_was.traits | 64], v_was.place in ('ready', 'suspect'));
  end if;
  if v_was.priority <> set_priority.priority then
    perform pgqueue._note_event(id, 'priority changed', jsonb_build_object('from', v_was.priority, 'to', set_priority.priority));
  end if;
  return query select case when v_was.place = 'scheduled' then 'scheduled' else 'queued' end, v_was.priority <> set_priority.priority;
end $$;

comment on function pgqueue.set_priority is
'Gives a waiting job another priority; it goes to the end of those that have it. Errors: PQ001, PQ002, PQ005 when it is running or final.';

-- source: sql/functions/core/settle.sql
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

-- source: sql/functions/core/settle_and_claim.sql
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

-- source: sql/functions/core/stop_leading.sql
create function pgqueue.stop_leading()
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from pgqueue._locks_held('lead') h where h = 1)
    and pg_advisory_unlock(pgqueue._lock_class('lead'), 1);
end $$;

comment on function pgqueue.stop_leading is
'Gives leadership up; false when this session was not the leader.';

-- source: sql/functions/core/try_lead.sql
create function pgqueue.try_lead()
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from pgqueue._locks_held('lead') h where h = 1)
    or pg_try_advisory_lock(pgqueue._lock_class('lead'), 1);
end $$;

comment on function pgqueue.try_lead is
'Tries to make this session the leader, who runs maintain for all; true when it is. It stays so until stop_leading or the end of the session. Never call it
through a transaction pooler. A lost or doubled leader harms nothing: every duty is safe to run twice.';

-- source: sql/functions/core/unwatch.sql
create function pgqueue.unwatch()
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from pgqueue._locks_held('wait')) then
    perform pg_advisory_unlock_shared(pgqueue._lock_class('wait'), 0);
  end if;
end $$;

comment on function pgqueue.unwatch is
'Ends what watch began on this session: it waits for no job any more.';

-- source: sql/functions/core/version.sql
create function pgqueue.version()
returns text
language sql security definer stable
set search_path = pg_catalog, pg_temp
as $$
  select v.version_num from pgqueue.schema_version v;
$$;

comment on function pgqueue.version is
'The revision of this schema, as the migrations name it.';

-- source: sql/functions/core/wait.sql
-- A procedure, because waiting inside a function would pin one snapshot for as long: it commits between its looks. So it cannot be security definer and
-- runs with its caller's rights; the look itself is the function result.
create procedure pgqueue.wait(
  id bigint,
  timeout interval default '1 minute',
  inout state text default null,
  inout reason text default null,
  inout result jsonb default null)
language plpgsql
as $$
#variable_conflict use_variable
declare
  -- Its caller's search_path may put other operators first; these are named in full.
  v_until float8 := extract(epoch from pg_catalog.clock_timestamp())::float8 operator(pg_catalog.+)
    extract(epoch from coalesce(timeout, '1 minute'::interval))::float8;
  v_left float8;
  v_pause float8 := 0.005;
begin
  loop
    select r.state, r.reason, r.result into state, reason, result from pgqueue.result(id) r;
    commit;
    v_left := v_until operator(pg_catalog.-) extract(epoch from pg_catalog.clock_timestamp())::float8;
    exit when reason is not null or state operator(pg_catalog.=) 'succeeded'::text or v_left operator(pg_catalog.<=) 0::float8;
    perform pg_catalog.pg_sleep(least(v_pause, v_left));
    v_pause := least(v_pause operator(pg_catalog.*) 1.5::float8, 0.5::float8);
  end loop;
end $$;

comment on procedure pgqueue.wait is
'Waits until a job is final, for at most timeout, and gives its state, reason and result: call pgqueue.wait(42). On a timeout the state is that of the live
job. An id of a batch or slow query does as well. Call it outside a transaction block: it commits between its looks. Errors: PQ002.';

-- source: sql/functions/core/watch.sql
create function pgqueue.watch(
  jobs bigint[],
  lasting interval default '1 minute',
  listening boolean default true)
returns table (job_id bigint, state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  if jobs is null or lasting is null then
    perform pgqueue._refuse('PQ001', 'jobs or lasting is null', 'Give an array of job ids and an interval such as ''1 minute''.');
  end if;
  perform pgqueue._check_interval('lasting', lasting, true);
  -- The lock before the rows, the rows before the look: whoever settles after the look sees both.
  if listening and not exists (select from pgqueue._locks_held('wait')) then
    perform pg_advisory_lock_shared(pgqueue._lock_class('wait'), 0);
  end if;
  insert into pgqueue.waiter (job_id, expires_at)
  select distinct j.id, pgqueue._now() + lasting from unnest(jobs) j(id) where j.id is not null;
  return query select j.id, pgqueue._state(j.id, true) from unnest(jobs) with ordinality j(id, ord) order by j.ord;
end $$;

comment on function pgqueue.watch is
'Says that this session waits for these jobs, for at most that long, and returns their states as of now. Call it on the connection that listens to the channel
pgqueue_done, where the id of each job is sent when it ends. A job that ends in the same instant may be missed by both: look again once after the call,
and poll now and then. Ids of batches and slow queries do as well as those of jobs. listening: hold the session lock that makes settles look for waiters; give false behind a transaction pooler. Errors: PQ001, PQ002.';

-- source: sql/functions/core/worker_heartbeat.sql
-- One row, not one per job. Locks with skip locked: a worker that is just being declared lost is told by its next heartbeat.
--
-- Leases are named by array, found through the worker: asked for in the order of their ids, they would be looked for among everybody's.
create function pgqueue.worker_heartbeat(worker bigint, leases bigint[] default null)
returns table (action text, lease bigint, job_id bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_lease pgqueue.lease;
  v_held bigint[];
begin
  perform pgqueue._check_worker(worker);
  if array_ndims(leases) > 1 or array_position(leases, null) is not null then
    perform pgqueue._refuse('PQ001', 'leases holds a null or arrays', 'Give the ids of the leases you hold, or null for all of it while a claim is under way.');
  end if;
  update pgqueue.worker w set heartbeat_at = v_now
  where w.id = (select w.id from pgqueue.worker w where w.id = worker_heartbeat.worker for update skip locked);

  return query
  select 'cancel', l.id, c.job_id
  from pgqueue.lease l
  cross join unnest(l.job_ids) j(id)
  cross join lateral (select c.job_id from pgqueue.cancel_request c where c.job_id = j.id offset 0) c
  where l.worker_id = worker_heartbeat.worker;
  if leases is null then
    return;
  end if;
  return query
  select 'lost', i.id, null::bigint
  from unnest(worker_heartbeat.leases) i(id)
  where (select l.worker_id from pgqueue.lease l where l.id = i.id) is distinct from worker_heartbeat.worker;
  -- A claim whose answer was lost on the way would stay running for as long as its worker lives.
  v_held := array(
    select l.id from pgqueue.lease l
    where l.worker_id = worker_heartbeat.worker and l.id <> all(worker_heartbeat.leases) and l.claimed_at < v_now - interval '5 seconds');
  if cardinality(v_held) > 0 then
    v_held := pgqueue._try_batches(v_held);  -- a heartbeat that waits is not heard; what is busy now goes back with the next
  end if;
  for v_lease in
    select l.* from pgqueue.lease l where l.id = any(v_held) and l.worker_id = worker_heartbeat.worker order by l.id for update skip locked
  loop
    perform pgqueue._give_back(v_lease);
  end loop;
end $$;

comment on function pgqueue.worker_heartbeat is
'Says that the worker lives, and answers with what it should do: action ''cancel'': a cancel of job_id was asked for; ''lost'': the lease it named is no
longer its own, stop its jobs and settle nothing of it. leases: all the leases the worker knows of; what it does not name and was claimed more than 5
seconds ago goes back to the queue (the answer to that claim was lost). Give null while a claim is under way. Errors: PQ003 unknown worker: register again.';

-- source: sql/functions/core/worker_sleep.sql
create function pgqueue.worker_sleep(queues text[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pgqueue._check_queues(queues);
  -- Two locks for each queue: see _wake.
  perform pg_advisory_lock_shared(pgqueue._lock_class('sleep'), q.key), pg_advisory_lock_shared(pgqueue._lock_class('asleep'), q.key)
  from (
    select hashtext(u.name) as key from unnest(queues) u(name)
    except select h from pgqueue._locks_held('sleep') h) q;
end $$;

comment on function pgqueue.worker_sleep is
'Says that this session, which listens to the channel pgqueue_wake, sleeps on these queues: until worker_wake or the end of the session, an enqueue into one
of them sends the queue''s name there. After it, claim once more before sleeping: what was enqueued just before was enqueued silently. Errors: PQ001.';

-- source: sql/functions/core/worker_wake.sql
create function pgqueue.worker_wake()
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_advisory_unlock_shared(pgqueue._lock_class('sleep'), h), pg_advisory_unlock_shared(pgqueue._lock_class('asleep'), h)
  from pgqueue._locks_held('sleep') h;
end $$;

comment on function pgqueue.worker_wake is
'Ends worker_sleep on this session: enqueues are silent again.';

-- source: sql/functions/script/cancel_script.sql
-- Decided at once, under the script's lock: whatever its query comes to in this instant, the script is cancelled. The worker ends the query on the server.
create function pgqueue.cancel_script(id bigint, as_owner text default null, why text default null)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_script pgqueue.script;
begin
  -- The place of one that is held before the script: whoever tells it of a parent's end has them in this order, and must not wait.
  perform from pgqueue.dependent d where d.job_id = cancel_script.id for update;
  v_script := pgqueue._script_or_refuse(id, as_owner, true);
  if v_script.part = 4 then
    perform pgqueue._refuse('PQ005', format('Cannot set status from %s to cancelled', v_script.status), 'The script is over; what it has done stays.');
  end if;
  perform pgqueue._stop_script(v_script, 'cancelled', null);
  perform pgqueue.cancel(id, why);
  return pgqueue._script_report(pgqueue._script_or_refuse(id, as_owner, false));
end $$;

comment on function pgqueue.cancel_script is
'Cancels a script and returns its report: the query that runs or is next is cancelled, the rest skipped, no fallback runs; what earlier queries did stays. While the script''s own fallback runs or waits, that is
cancelled and the status stays. The server is told at once to stop what runs, which a rollback does not undo. as_owner: refuse what belongs to somebody else. why: kept with the request, for people. Errors: PQ002,
PQ005 when the script is over.';

-- source: sql/functions/script/configure_owner.sql
create function pgqueue.configure_owner(owner text, settings jsonb)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  c_hint constant text := 'Keys: timeout (seconds or interval text), max_waiting (a whole number); null clears.';
  v_key text;
  v_problem text;
begin
  perform pgqueue._check_name('owner', owner, 500);
  if settings is null or jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', coalesce(jsonb_typeof(settings), 'null')), c_hint);
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key not in ('timeout', 'max_waiting') then
      perform pgqueue._refuse('PQ001', format('%L is not a setting of an owner', v_key), c_hint);
    end if;
  end loop;
  begin
    perform pgqueue._check_interval('timeout', pgqueue._interval(settings -> 'timeout'), true);
    insert into pgqueue.owner (name, updated_at) values (configure_owner.owner, pgqueue._now()) on conflict do nothing;
    update pgqueue.owner o set
      timeout = case when settings ? 'timeout' then pgqueue._interval(settings -> 'timeout') else o.timeout end,
      max_waiting = case when settings ? 'max_waiting' then (settings ->> 'max_waiting')::integer else o.max_waiting end,
      updated_at = pgqueue._now()
    where o.name = configure_owner.owner;
  exception
    when data_exception or check_violation then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, c_hint);
  end;
  return (select jsonb_build_object('timeout', o.timeout, 'max_waiting', o.max_waiting) from pgqueue.owner o where o.name = configure_owner.owner);
end $$;

comment on function pgqueue.configure_owner is
'Changes settings of an owner of scripts and queries, in all queues, and returns them. Keys given are set, null clears. timeout: how long one query may run, instead of the queue''s and the installation''s
limit. max_waiting: how many scripts may wait in a queue, instead of script_max_waiting. Errors: PQ001.';

-- source: sql/functions/script/script_begin.sql
create function pgqueue.script_begin(lease bigint, job bigint, backend_pid integer, backend_start timestamptz)
returns table (
  unit text,
  "position" integer,
  sql text,
  timeout interval,
  verdict text,
  failure jsonb,
  old_datasource text,
  old_pid integer,
  old_backend_start timestamptz,
  result jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_script pgqueue.script;
  v_query jsonb;
begin
  perform pgqueue._hold_lease(lease, job);
  select * into v_script from pgqueue.script s where s.job_id = script_begin.job for update;
  if not found then
    perform pgqueue._refuse('PQ002', format('job %s is not a script', job), 'Only submit_script makes jobs of this kind.');
  end if;
  if v_script.part = 4 then
    select v.verdict, v.failure, v.result into verdict, failure, result from pgqueue._script_verdict(v_script) v;
    return next;
    return;
  end if;

  select n.old_pid, n.old_backend_start into old_pid, old_backend_start from pgqueue._note_backend(job, backend_pid, backend_start) n;
  old_datasource := (select j.args ->> 'datasource' from pgqueue.job j where j.id = script_begin.job);
  position := v_script.position;
  v_query := v_script.document -> 'queries' -> v_script.position;
  timeout := pgqueue._sql_limit(v_script.queue, v_script.owner);
  case v_script.part
    when 0 then
      unit := 'query';
      sql := v_query ->> 'query';
      if jsonb_typeof(v_query -> 'timeout') = 'number' and (v_query ->> 'timeout')::numeric > 0 then
        timeout := least(timeout, make_interval(secs => least((v_query ->> 'timeout')::numeric / 1000, 3e9)::float8));
      end if;
      insert into pgqueue.script_query (job_id, position, status, started_at) values (script_begin.job, v_script.position, 'running', v_now)
      on conflict (job_id, position) do update set status = 'running', started_at = v_now;
    when 3 then
      unit := case v_script.status when 'succeeded' then 'final_onsuccess' else 'final_onerror' end;
      sql := pgqueue._render_sql(v_script.document ->> case v_script.status when 'succeeded' then 'onsuccess' else 'onerror' end, job, v_script.failed_reason);
    else
      unit := case v_script.part when 1 then 'onsuccess' else 'onerror' end;
      update pgqueue.script_query q set fallback_status = 'running' where q.job_id = script_begin.job and q.position = v_script.position;
      sql := pgqueue._render_sql(v_query ->> unit, job,
        (select q.failed_reason from pgqueue.script_query q where q.job_id = script_begin.job and q.position = v_script.position));
  end case;
  update pgqueue.script s
  set status = case when s.part < 3 then 'running' else s.status end, fallback_status = case when s.part = 3 then 'running' else s.fallback_status end,
    started_at = coalesce(s.started_at, v_now), updated_at = v_now
  where s.job_id = script_begin.job;
  return next;
end $$;

comment on function pgqueue.script_begin is
'For workers, once a script''s job is claimed and the session that is to run its SQL is open: what to run now. unit: query, onsuccess, onerror, or final_onsuccess, final_onerror (the fallbacks of the
whole script); sql: its text, with tags filled in; timeout: how long it may run. unit null: nothing, settle the job with verdict, result, and failure as its error. backend_pid,
backend_start: of that session, null when none could be had and script_end is to say so. old_pid, old_backend_start: a server process of old_datasource that may still run this job''s SQL; end it before you begin. Errors: PQ004 the lease does not hold the job.';

-- source: sql/functions/script/script_end.sql
create function pgqueue.script_end(lease bigint, job bigint, error jsonb default null, notices jsonb default null)
returns table (verdict text, failure jsonb, result jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_message text := case when nullif(script_end.error, 'null') is not null then coalesce(script_end.error ->> 'message', 'unknown error') end;
  v_script pgqueue.script;
  v_query jsonb;
begin
  perform pgqueue._hold_lease(lease, job);
  select * into v_script from pgqueue.script s where s.job_id = script_end.job for update;
  delete from pgqueue.backend b where b.job_id = script_end.job;
  -- Only what was begun ends: a second call, because the answer to the first was lost, must not end what comes next.
  if v_script.part < 4 and 'running' = (case v_script.part
      when 3 then v_script.fallback_status
      when 0 then (select q.status from pgqueue.script_query q where q.job_id = script_end.job and q.position = v_script.position)
      else (select q.fallback_status from pgqueue.script_query q where q.job_id = script_end.job and q.position = v_script.position) end)
  then
    v_query := v_script.document -> 'queries' -> v_script.position;
    case v_script.part
      when 0 then
        v_script.part := case when v_message is null and v_query ? 'onsuccess' then 1 when v_message is not null and v_query ? 'onerror' then 2 else 0 end;
        update pgqueue.script_query q
        set status = case when v_message is null then 'succeeded' else 'failed' end, failed_reason = v_message, ended_at = v_now, notices = script_end.notices,
          fallback_status = case when v_script.part > 0 then 'queued' when v_query ?| array['onsuccess', 'onerror'] then 'skipped' end
        where q.job_id = script_end.job and q.position = v_script.position;
        v_script.failed_reason := v_message;
        v_script.status := 'queued';
        if v_script.part = 0 then
          v_script := pgqueue._script_next(v_script);
        end if;
      when 3 then
        v_script.fallback_status := case when v_message is null then 'succeeded' else 'failed' end;
        v_script.fallback_error := v_message;
        v_script.part := 4;
      else
        update pgqueue.script_query q
        set fallback_status = case when v_message is null then 'succeeded' else 'failed' end, fallback_error = v_message,
          notices = nullif(coalesce(q.notices, '[]') || coalesce(script_end.notices, '[]'), '[]')
        where q.job_id = script_end.job and q.position = v_script.position;
        v_script := pgqueue._script_next(v_script);
    end case;
    update pgqueue.script s
    set position = v_script.position, part = v_script.part, status = v_script.status, fallback_status = v_script.fallback_status,
      failed_reason = v_script.failed_reason, fallback_error = v_script.fallback_error, updated_at = v_now,
      ended_at = case when v_script.part = 4 then v_now end
    where s.job_id = script_end.job
    returning s.* into v_script;
  end if;
  if v_script.part < 4 then
    verdict := 'release';
  else
    select v.verdict, v.failure, v.result into verdict, failure, result from pgqueue._script_verdict(v_script) v;
  end if;
  return next;
end $$;

comment on function pgqueue.script_end is
'For workers: how the unit given by script_begin ended. error: null when it succeeded, else an object with "message" and, if known, "sqlstate". notices: an array of what the
server said. verdict: how to settle the job: release (the script goes on in its owner''s next turn), succeeded, discard (failed, with failure as its error) or cancelled; result: the result to settle it with. Calling it again
changes nothing. Errors: PQ004 the lease does
not hold the job: nothing was written.';

-- source: sql/functions/script/script_report.sql
create function pgqueue.script_report(id bigint, as_owner text default null)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  return pgqueue._script_report(pgqueue._script_or_refuse(id, as_owner, false));
end $$;

comment on function pgqueue.script_report is
'Where a script stands: an object with id, owner, queue, status, created_at, updated_at, started_at, ended_at, failed_reason (of the query that failed), fallback_status and fallback_error (of the script''s own onsuccess or
onerror, which runs once status is final), and queries: each as it was submitted, with status, fallback_status, failed_reason, fallback_error, started_at, ended_at and notices. A key that does not apply is missing.
Statuses: held (of the whole, while it waits for other jobs), queued, running, succeeded, failed, cancelled, skipped. A script is over when ended_at is there. as_owner: refuse what belongs to somebody else. Errors: PQ002.';

-- source: sql/functions/script/scripts.sql
create function pgqueue.scripts(
  owner text default null,
  state text default null,
  queue text default null,
  before bigint default null,
  max integer default 50)
returns setof pgqueue.script_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_state text := case scripts.state when 'canceled' then 'cancelled' else scripts.state end;
  v_stored text := case v_state when 'held' then 'queued' else v_state end;
begin
  if v_state not in ('held', 'queued', 'running', 'succeeded', 'failed', 'cancelled') then
    perform pgqueue._refuse('PQ001', format('unknown state %L', state), 'States of scripts: held, queued, running, succeeded, failed, cancelled.');
  end if;
  if max is null or max not between 1 and 1000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 1000.');
  end if;
  -- Two statements, since one that allows for both would be planned for the worse.
  if owner is null then
    return query
    select p.*
    from (select s from pgqueue.script s where s.job_id < coalesce(before, 9223372036854775807) order by s.job_id desc) l(s)
    cross join lateral pgqueue._script_line(l.s) p
    where (v_state is null or (l.s).status = v_stored and p.status = v_state) and (scripts.queue is null or (l.s).queue = scripts.queue)
    limit max;
  else
    return query
    select p.*
    from (
      select s from pgqueue.script s
      where s.owner between scripts.owner and scripts.owner and s.job_id < coalesce(before, 9223372036854775807) order by s.owner desc, s.job_id desc) l(s)
    cross join lateral pgqueue._script_line(l.s) p
    where (v_state is null or (l.s).status = v_stored and p.status = v_state) and (scripts.queue is null or (l.s).queue = scripts.queue)
    limit max;
  end if;
end $$;

comment on function pgqueue.scripts is
'Scripts, newest first, at most max (1 to 1000) of them; next page: before = the last id. Filters by owner, state (held, queued, running, succeeded, failed, cancelled) and queue. queries: how many
it has; done: how many of those have ended. Errors: PQ001.';

-- source: sql/functions/script/scripts_running.sql
create function pgqueue.scripts_running(queue text default null)
returns table (owner text, ids bigint[])
language sql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
  select t.owner::text, array_agg(t.job_id order by t.job_id)
  from pgqueue.turn t cross join lateral (select from pgqueue.script s where s.job_id = t.job_id and 'running' in (s.status, s.fallback_status) offset 0) s
  where scripts_running.queue is null or t.queue = scripts_running.queue
  group by t.owner order by t.owner;
$$;

comment on function pgqueue.scripts_running is 'The scripts that run right now, by owner.';

-- source: sql/functions/script/submit_script.sql
-- Not more than `script_max_waiting` of an owner in one queue, exactly: submits of one owner meet at a lock of that owner's, and only those. (So two transactions that submit for the
-- same two owners, in different orders, may wait for each other, and one is told.) A script waits while it is in the
-- inbox or in line; the one that runs does not count, nor one that is held. Both are asked for as a range of one key, for the reason given in _admit_groups.
create function pgqueue.submit_script(
  document jsonb,
  owner text default null,
  queue text default 'scripts',
  priority integer default 0,
  datasource text default null,
  role text default null,
  settings jsonb default null,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (id bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_owner text := pgqueue._check_submit(owner, queue, priority, datasource, role, settings);
  v_now timestamptz := pgqueue._now();
  v_script jsonb;
  v_chars integer;
  v_most integer;
begin
  select c.script_max_chars into v_most from pgqueue.config c;
  v_chars := pgqueue._compact_length(document);
  if v_chars > v_most then
    perform pgqueue._refuse('PQ001', format('the document is too large: %s characters of compact JSON', v_chars),
      format('It may have %s; pgqueue.configure changes script_max_chars.', v_most));
  end if;
  v_script := pgqueue._script_document(document);
  if num_nonnulls(depends_on, on_parent_failure, on_success, on_error) > 0 then
    perform pgqueue._check_flow(null, null, null, null, null, depends_on, on_parent_failure, on_success, on_error);
  end if;

  perform pg_advisory_xact_lock(pgqueue._lock_class('owner'), hashtext(queue || E'\x1f' || v_owner));
  id := nextval('pgqueue.job_id');
  insert into pgqueue.script (job_id, created_at, updated_at, length, fallback_status, queue, owner, document)
  values (submit_script.id, v_now, v_now, jsonb_array_length(v_script -> 'queries'),
    case when v_script ?| array['onsuccess', 'onerror'] then 'queued' end, submit_script.queue, v_owner, v_script);
  perform pgqueue._new_sql_job(id, 'sql.script', pgqueue._session_args(datasource, role, settings), queue, v_owner, priority, 256, null,
    depends_on, on_parent_failure, on_success, on_error);
  if depends_on is null or not exists (select from pgqueue.dependent d where d.job_id = submit_script.id) then
    select coalesce((select o.max_waiting from pgqueue.owner o where o.name = v_owner), c.script_max_waiting) into v_most from pgqueue.config c;
    if v_most < (
      select count(*) from (
        (select from pgqueue.line l where l.queue = submit_script.queue and l.owner between v_owner and v_owner and l.traits & 256 <> 0
          order by l.queue, l.owner, l.priority desc, l.job_id limit v_most + 1)
        union all
        (select from pgqueue.arrival a where a.queue = submit_script.queue and a.group_key between v_owner and v_owner and a.traits & 256 <> 0
          order by a.queue, a.group_key, a.seq limit v_most + 1)) w)
    then
      perform pgqueue._refuse('PQ005', format('owner %s has %s scripts waiting in queue %s already', v_owner, v_most, queue),
        'Wait until some have run, or raise max_waiting with pgqueue.configure_owner.');
    end if;
  end if;
  return next;
end $$;

comment on function pgqueue.submit_script is
'Hands a script in: SQL that workers run one query after the other, each in a session of its own.
document: {"query": …, "onsuccess": …, "onerror": …}, where query is a text, an array of texts and objects, or an object that holds such an array and the fallbacks. An object in the
array has "query" and, if wanted, "onsuccess", "onerror" (texts) and "timeout" (milliseconds); what else it has comes back in the report. Fallbacks may hold <%= job_id %> and
<%= error_message %>. A text or an array alone stands for the query.
owner: who it belongs to (default: the role that calls); owners take turns, one query a turn, and the scripts of one run one after the other. datasource: a
name the workers know. role, settings: what the session is to have.
depends_on: ids of jobs, of any kind, that must end first; the script is held until then. on_parent_failure: cancel (default), run or wait. on_success, on_error: jobs to enqueue when it ends, as in enqueue; pass_as of
on_success receives the report without texts and notices.
Errors: PQ001 bad input, or a document of more than 16,384 characters (script_max_chars); PQ002 unknown parent; PQ005 when the
owner has 64 scripts waiting in the queue (script_max_waiting), where one that is held does not count until it is released; PQ008 the queue has max_queued and is full; nothing is stored then.';

-- source: sql/functions/query/cancel_query.sql
-- Whoever leaves meets whoever joins at the lock of submit_query: so the last one to leave is the last one.
create function pgqueue.cancel_query(id bigint, as_owner text default null, why text default null)
returns table (state text, changed boolean, others integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  perform pgqueue._query_or_refuse(id, as_owner);
  perform pg_advisory_xact_lock(pgqueue._lock_class('query'), hashint8(id));
  changed := false;
  if as_owner is not null then
    update pgqueue.query_caller c set gone = true
    where c.ctid = (
      select c.ctid from pgqueue.query_caller c where c.job_id = cancel_query.id and c.owner = as_owner and not c.gone limit 1 for update skip locked);
    changed := found;
    select count(*) into others from pgqueue.query_caller c where c.job_id = cancel_query.id and not c.gone;
  else
    others := 0;
  end if;
  select s.state into state from pgqueue.query_status(id) s;
  if others = 0 and state not in ('succeeded', 'failed', 'cancelled') then
    -- Its key is given up in there, after what cancel locks: in the other order a cancel beside would wait for this one, and this one for it.
    select c.state, c.changed into state, changed from pgqueue.cancel(id, why) c;
  elsif state in ('succeeded', 'failed', 'cancelled') then
    changed := false;
  end if;
  return next;
end $$;

comment on function pgqueue.cancel_query is
'Takes one caller''s interest in a query back; when others have joined it, it goes on for them (others: how many are left). With the last one gone the query is cancelled: at once when it waits (state cancelled), else the
server is told to stop it (state running, changed true), which a rollback does not undo. A final query stays as it is. as_owner null: cancel for everybody. Errors: PQ002 unknown, or this owner neither asked for nor
shares it.';

-- source: sql/functions/query/query_batch.sql
create function pgqueue.query_batch(id bigint, n integer, format text default 'json', as_owner text default null)
returns table (batch integer, state text, run integer, row_count integer, is_last boolean, data text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_status pgqueue.query_info;
  v_chunk text;
begin
  if n is null or n < 0 then
    perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Chunks are counted from 0.');
  end if;
  if format is null or format not in ('json', 'arrays', 'csv', 'text') then
    perform pgqueue._refuse('PQ001', format('unknown format %L', format),
      'Formats: json (an array of objects), arrays (an array of arrays), csv (without a header), text (lines as COPY writes them).');
  end if;
  select * into v_status from pgqueue.query_status(id, as_owner);
  if v_status.state in ('failed', 'cancelled') then
    perform pgqueue._refuse('PQ005', format('query %s %s: %s', id, case v_status.state when 'failed' then 'failed' else 'was cancelled' end,
      coalesce(v_status.error ->> 'message', v_status.reason)), 'It has no result; query_status says more.');
  elsif v_status.expires_at <= pgqueue._now() then
    perform pgqueue._refuse('PQ002', format('the result of query %s has expired', id), format('It was kept until %s: submit the query again, or give it a longer ttl.', v_status.expires_at));
  end if;
  batch := n;
  state := v_status.state;
  run := v_status.run;
  is_last := state = 'succeeded' and n + 1 >= v_status.batches;
  if n < v_status.batches then
    select c.row_count, c.data into row_count, v_chunk
    from pgqueue.query_chunk c where c.job_id = query_batch.id and c.run = v_status.run and c.n = query_batch.n;
    data := pgqueue._chunk_as(v_chunk, row_count, v_status.columns, format);
  elsif state = 'succeeded' then
    row_count := 0;
    data := pgqueue._chunk_as('', 0, coalesce(v_status.columns, '[]'), format);
  end if;
  return next;
end $$;

comment on function pgqueue.query_batch is
'Chunk n (from 0) of a query''s result, as often as wanted, also while the query still runs. data is null while the chunk is not there yet; past the end it holds no rows. is_last: none
follows. format: json (an array of objects), arrays (an array of arrays), csv (without a header), text (lines as COPY writes them, the stored form). run: see query_status. as_owner: refuse what
this owner neither asked for nor shares. Errors: PQ001; PQ002 unknown, or the result has expired; PQ005 the query failed or was cancelled.';

-- source: sql/functions/query/query_begin.sql
-- A run that starts anew throws away what the one before had stored.
create function pgqueue.query_begin(lease bigint, job bigint, backend_pid integer, backend_start timestamptz)
returns table (
  sql text,
  param_count integer,
  timeout interval,
  batch_rows integer,
  max_rows bigint,
  max_bytes bigint,
  run integer,
  verdict text,
  old_datasource text,
  old_pid integer,
  old_backend_start timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_query pgqueue.query;
begin
  perform pgqueue._hold_lease(lease, job);
  select * into v_query from pgqueue.query q where q.job_id = query_begin.job;
  if not found then
    perform pgqueue._refuse('PQ002', format('job %s is not a query', job), 'Only submit_query makes jobs of this kind.');
  end if;
  if exists (select from pgqueue.cancel_request c where c.job_id = query_begin.job) then
    verdict := 'cancelled';
    return next;
    return;
  end if;
  select n.old_pid, n.old_backend_start into old_pid, old_backend_start from pgqueue._note_backend(job, backend_pid, backend_start) n;
  old_datasource := v_query.datasource;
  insert into pgqueue.query_run as r (job_id, run, started_at, updated_at) values (query_begin.job, 1, v_now, v_now)
  on conflict (job_id) do update
  set run = r.run + 1, batches = 0, kept = false, row_count = 0, byte_count = 0, started_at = v_now, updated_at = v_now, ended_at = null, expires_at = null, forget_at = null, outcome = null,
    reason = null, command = null, columns = null, error = null, notices = null
  returning r.run into run;
  if run > 1 then
    delete from pgqueue.query_chunk c where c.job_id = query_begin.job;
  end if;
  sql := v_query.sql;
  param_count := coalesce(jsonb_array_length(v_query.params), 0);
  timeout := least(v_query.timeout, pgqueue._sql_limit(v_query.queue, v_query.owner));
  batch_rows := v_query.batch_rows;
  select coalesce(v_query.max_rows, c.result_max_rows), coalesce(v_query.max_bytes, c.result_max_bytes) into max_rows, max_bytes from pgqueue.config c;
  return next;
end $$;

comment on function pgqueue.query_begin is
'For workers, once a query''s job is claimed and the session that is to run its SQL is open: what to run. Next prepare and describe the statement there, and call query_describe. timeout: how long it may run; batch_rows, max_rows, max_bytes: for
the chunks and the whole. verdict not null: nothing, settle the job with it. backend_pid, backend_start: of that session, null when none could be had and query_end is to say so. old_pid, old_backend_start: a server process of old_datasource that may still run
this job''s SQL; end it first. Errors: PQ004 the lease does not hold the job.';

-- source: sql/functions/query/query_columns.sql
create function pgqueue.query_columns(id bigint, as_owner text default null)
returns table ("position" integer, name text, type text, type_oid bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_columns jsonb;
begin
  perform pgqueue._query_or_refuse(id, as_owner);
  select r.columns into v_columns from pgqueue.query_run r where r.job_id = query_columns.id;
  if v_columns is null then
    perform pgqueue._refuse('PQ005', format('the columns of query %s are not known', id), 'They are once it has begun, and never if it failed before.');
  end if;
  return query
  select e.nth::integer, e.value ->> 'name', e.value ->> 'type', (e.value ->> 'oid')::bigint
  from jsonb_array_elements(v_columns) with ordinality e(value, nth) order by e.nth;
end $$;

comment on function pgqueue.query_columns is
'The columns of a query''s result, known from its beginning, rows or no rows; none for a command without a result. Errors: PQ002, PQ005 while they are not known.';

-- source: sql/functions/query/query_describe.sql
-- Parameters are written into the text as literals of the types the server has found for them: COPY, which streams best, takes none.
create function pgqueue.query_describe(lease bigint, job bigint, columns jsonb, param_types text[] default null)
returns table (sql text, mode text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_query pgqueue.query;
  v_count integer;
begin
  perform pgqueue._hold_lease(lease, job);
  if columns is null or jsonb_typeof(columns) <> 'array' or exists (
    select from jsonb_array_elements(case jsonb_typeof(columns) when 'array' then columns else '[]' end) c
    where jsonb_typeof(c -> 'name') is distinct from 'string' or jsonb_typeof(c -> 'type') is distinct from 'string' or jsonb_typeof(c -> 'oid') is distinct from 'number')
    or array_position(param_types, null) is not null
  then
    perform pgqueue._refuse('PQ001', 'columns is not an array of columns, or a type is null', 'Give [{"name", "type", "oid"}, …], or [] for a statement without a result.');
  end if;
  select * into v_query from pgqueue.query q where q.job_id = query_describe.job;
  v_count := coalesce(jsonb_array_length(v_query.params), 0);
  if v_count <> coalesce(cardinality(param_types), 0) then
    perform pgqueue._refuse('PQ001', format('the statement takes %s parameters and %s were given', coalesce(cardinality(param_types), 0), v_count),
      'Give one value for each of $1, $2, ….');
  end if;
  update pgqueue.query_run r set columns = query_describe.columns, updated_at = pgqueue._now() where r.job_id = query_describe.job;
  sql := pgqueue._with_literals(v_query.sql, v_query.params, param_types);
  mode := case
    when columns = '[]' then 'command'
    when pgqueue._first_word(v_query.sql) in ('select', 'with', 'values', 'table', 'insert', 'update', 'delete', 'merge') then 'copy'
    else 'rows' end;
  return next;
end $$;

comment on function pgqueue.query_describe is
'For workers: what the server says of the prepared statement. columns: [{"name", "type", "oid"}, …]; param_types: names of the types of $1, $2, …. Returns the text to run, with the parameters written in, and how: copy
(as COPY (…) TO STDOUT), rows (as it is, it has a few rows) or command (no rows). Errors: PQ001 the number of parameters differs; PQ004 the lease does not hold the job.';

-- source: sql/functions/query/query_end.sql
create function pgqueue.query_end(lease bigint, job bigint, command text default null, error jsonb default null, notices jsonb default null)
returns table (verdict text, failure jsonb, result jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
begin
  perform pgqueue._hold_lease(lease, job);
  delete from pgqueue.backend b where b.job_id = query_end.job;  -- waits for a cancel under way
  -- What ended because of a cancel, whoever told the server, has not failed.
  if error = 'null' or error ->> 'sqlstate' = '57014' and exists (select from pgqueue.cancel_request c where c.job_id = query_end.job) then
    error := null;
  end if;
  update pgqueue.query_run r
  set command = query_end.command, error = query_end.error, notices = query_end.notices, ended_at = v_now, updated_at = v_now
  where r.job_id = query_end.job
  returning jsonb_build_object('rows', r.row_count, 'bytes', r.byte_count, 'batches', r.batches, 'command', query_end.command) into result;
  if error is not null then
    verdict := 'discard';
    failure := error;
    result := null;
  elsif exists (select from pgqueue.cancel_request c where c.job_id = query_end.job) then
    verdict := 'cancelled';
    result := null;
  else
    verdict := 'succeeded';
  end if;
  return next;
end $$;

comment on function pgqueue.query_end is
'For workers: how the run of a query ended, after its last chunk. command: the command tag. error: null when it succeeded, else an object with "message" and, if known, "sqlstate". notices: an array of what the server said. Settle the
job with verdict (succeeded, discard or cancelled), result, and failure as its error. Errors: PQ004 the lease does not hold the job: nothing was written.';

-- source: sql/functions/query/query_put.sql
create function pgqueue.query_put(lease bigint, job bigint, n integer, row_count integer, data text)
returns table (cancel_requested boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_run integer;
begin
  perform pgqueue._hold_lease(lease, job);
  if row_count is null or row_count < 0 or data is null then
    perform pgqueue._refuse('PQ001', format('row_count is %s and data %s', coalesce(row_count::text, 'null'), case when data is null then 'null' else 'given' end),
      'Give the number of lines, and the lines.');
  end if;
  update pgqueue.query_run r
  set batches = r.batches + 1, kept = true, row_count = r.row_count + query_put.row_count, byte_count = r.byte_count + octet_length(query_put.data), updated_at = pgqueue._now()
  where r.job_id = query_put.job and r.batches = query_put.n and r.ended_at is null
  returning r.run into v_run;
  if found then
    insert into pgqueue.query_chunk (job_id, run, n, row_count, data) values (query_put.job, v_run, query_put.n, query_put.row_count, query_put.data);
  elsif not exists (
    -- stored already, and the answer was lost
    select from pgqueue.query_run r join pgqueue.query_chunk c on c.job_id = r.job_id and c.run = r.run
    where r.job_id = query_put.job and r.batches = query_put.n + 1 and c.n = query_put.n and c.data = query_put.data)
  then
    perform pgqueue._refuse('PQ001', format('chunk %s of query %s is not the next one', coalesce(n::text, 'null'), job), 'Hand chunks in one after the other, from 0 on, between query_begin and query_end.');
  end if;
  cancel_requested := exists (select from pgqueue.cancel_request c where c.job_id = query_put.job);
  return next;
end $$;

comment on function pgqueue.query_put is
'For workers: appends chunk n (0, 1, 2, …) to the result of a query that runs; data: row_count lines as COPY writes them. It can be read as soon as this commits. Handing the last one in again changes nothing. cancel_requested: a cancel was asked for. Errors:
PQ001 not the next chunk; PQ004 the lease does not hold the job: nothing was written.';

-- source: sql/functions/query/query_status.sql
create function pgqueue.query_status(id bigint, as_owner text default null)
returns setof pgqueue.query_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_query pgqueue.query := pgqueue._query_or_refuse(id, as_owner);
begin
  -- One statement, so one snapshot: the state and what the run says agree.
  return query
  select v_query.job_id, v_query.owner::text, coalesce(r.outcome::text, pgqueue._state_if_any(v_query.job_id), 'running'), r.reason, r.error,
    coalesce(r.row_count, 0), coalesce(r.byte_count, 0), coalesce(r.batches, 0), r.columns, r.command, coalesce(r.run, 0), r.notices,
    v_query.submitted_at, r.started_at, r.ended_at, coalesce(r.updated_at, v_query.submitted_at), r.expires_at
  from (select) one left join pgqueue.query_run r on r.job_id = v_query.job_id;
end $$;

comment on function pgqueue.query_status is
'Where a query stands. state: as of every job, held while it waits for others. reason, error (message, sqlstate, …): why it failed or was cancelled. row_count, byte_count, batches: what can be read already. columns: an array of {"name", "type", "oid"}, once it has
begun. command: the command tag. run: how often it was begun; when that changes the result starts anew. expires_at: until when the result is kept. as_owner: refuse what this owner neither
asked for nor shares. Errors: PQ002.';

-- source: sql/functions/query/submit_query.sql
-- Sharing. The identity of a query is the unique key of its job, in a namespace of its own (no queue has the empty name), so the one final transition frees it. A cancel
-- frees it earlier: with the last caller gone, the run is not for others to wait for. Callers who attach and callers who leave meet at a lock of the job's, which no
-- worker ever takes; those who attach look again once they have it. A query that is a part of a flow is not shared: what its parents write may change its result, and its
-- follow-ups are the caller's own.
create function pgqueue.submit_query(
  sql text,
  params jsonb default null,
  owner text default null,
  queue text default 'queries',
  datasource text default null,
  role text default null,
  settings jsonb default null,
  timeout interval default null,
  wait_timeout interval default null,
  max_age interval default null,
  "unique" boolean default true,
  read_only boolean default false,
  batch_rows integer default null,
  max_rows bigint default null,
  max_bytes bigint default null,
  ttl interval default null,
  priority integer default 0,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (id bigint, created boolean, reused boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_owner text := pgqueue._check_submit(owner, queue, priority, datasource, role, settings);
  v_now timestamptz := pgqueue._now();
  v_identity bytea;
  v_key text;
  v_holder bigint;
begin
  perform pgqueue._check_query(sql, params, timeout, wait_timeout, max_age, ttl, batch_rows, max_rows, max_bytes, "unique", read_only);
  if num_nonnulls(depends_on, on_parent_failure, on_success, on_error) > 0 then
    perform pgqueue._check_flow(null, null, null, null, null, depends_on, on_parent_failure, on_success, on_error);
    if max_age is not null then
      perform pgqueue._refuse('PQ001', 'max_age is given for a query that is part of a flow', 'Such a query always runs: leave out max_age, or depends_on, on_parent_failure, on_success and on_error.');
    end if;
    "unique" := false;
  end if;
  v_identity := sha256(convert_to(jsonb_build_array(submit_query.sql, coalesce(nullif(params, 'null'), '[]'), datasource, role, coalesce(settings, '{}'), read_only)::text, 'UTF8'));
  v_key := encode(v_identity, 'hex');
  created := false;
  if max_age is not null then
    id := pgqueue._fresh_result(v_identity, v_now - max_age);
    if id is not null then
      reused := true;
      -- Only so that this owner may read it: a dashboard that asks every second leaves one row.
      insert into pgqueue.query_caller (job_id, owner)
      select submit_query.id, v_owner
      where not exists (select from pgqueue.query_caller c where c.job_id = submit_query.id and c.owner = v_owner);
      return next;
      return;
    end if;
  end if;

  reused := false;
  for v_try in 1..100 loop
    exit when not "unique";
    select k.job_id into v_holder from pgqueue.job_key k where k.queue = '' and k.unique_key = v_key;
    exit when not found;
    perform pg_advisory_xact_lock_shared(pgqueue._lock_class('query'), hashint8(v_holder));
    if exists (select from pgqueue.left_key l where l.job_id = v_holder) then
      -- It ended beside a cancel that was rolled back, and left its key behind.
      delete from pgqueue.job_key k where k.job_id = v_holder and k.queue = '';
      delete from pgqueue.left_key l where l.job_id = v_holder;
    elsif exists (select from pgqueue.job_key k where k.queue = '' and k.unique_key = v_key and k.job_id = v_holder) then
      id := v_holder;
      insert into pgqueue.query_caller (job_id, owner) values (submit_query.id, v_owner);
      return next;
      return;
    end if;
  end loop;

  id := nextval('pgqueue.job_id');
  if "unique" then
    insert into pgqueue.job_key (queue, unique_key, job_id) values ('', v_key, submit_query.id) on conflict do nothing;
    if not found then
      -- Somebody was quicker, and has committed: theirs is joined.
      return query
      select s.id, s.created, s.reused
      from pgqueue.submit_query(submit_query.sql, params, v_owner, queue, datasource, role, settings, timeout, wait_timeout, max_age, "unique", read_only, batch_rows, max_rows,
        max_bytes, ttl, priority) s;
      return;
    end if;
  end if;
  created := true;
  insert into pgqueue.query (job_id, submitted_at, timeout, ttl, max_rows, max_bytes, batch_rows, read_only, identity, queue, owner, datasource, role, settings, params, sql)
  values (submit_query.id, v_now, submit_query.timeout, submit_query.ttl, submit_query.max_rows, submit_query.max_bytes, submit_query.batch_rows, submit_query.read_only,
    v_identity, submit_query.queue, v_owner, submit_query.datasource, submit_query.role, submit_query.settings, nullif(submit_query.params, 'null'), submit_query.sql);
  insert into pgqueue.query_caller (job_id, owner) values (submit_query.id, v_owner);
  perform pgqueue._new_sql_job(id, 'sql.query', pgqueue._session_args(datasource, role, settings) || jsonb_build_object('read_only', submit_query.read_only), queue, v_owner,
    priority, case when "unique" then 1 else 0 end, v_now + wait_timeout, depends_on, on_parent_failure, on_success, on_error);
  return next;
end $$;

comment on function pgqueue.submit_query is
'Hands one SQL statement in; a worker runs it in a session of its own and keeps the result for a while, readable chunk by chunk from the first on.
params: an array of values for $1, $2, …. owner: who asks (default: the role that calls); owners take turns. datasource: a name the workers know. role, settings, read_only: what the session is to have. timeout: how
long it may run. wait_timeout: fails with queue_timeout if it has not started by then.
unique: a query with the same text, params, datasource, role, settings and read_only that is live already is joined (created false). max_age: so is a result that is not older (reused true). batch_rows: rows in
a chunk. max_rows, max_bytes: fail if the result is larger. ttl: how long the result is kept after the end (result_ttl, 1 hour).
depends_on: ids of jobs, of any kind, that must end first; the query is held until then. on_parent_failure: cancel (default), run or wait. on_success, on_error: jobs to enqueue when it ends, as in enqueue; pass_as of
on_success receives {"rows", "bytes", "batches", "command"}. With any of these four it is a run of its own: it joins none and none joins it, and max_age is refused. wait_timeout counts while it is held.
Errors: PQ001; PQ002 unknown parent; PQ008 the queue has max_queued and is full; nothing is stored then.';

-- source: sql/functions/rows/batch_abort.sql
-- The counters' lock makes it once, against workers that hand in rows and other aborts. What is pending is aborted here and now; slices that run are told to stop, and what they still
-- bring is discarded.
create function pgqueue.batch_abort(id bigint, as_owner text default null, why text default null)
returns table (status text, succeeded integer, failed integer, aborted integer, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  return query select a.* from pgqueue._abort(id, 'batch', as_owner, why) a;
end $$;

comment on function pgqueue.batch_abort is
'Aborts a batch, held or running: rows that are not done are aborted, what runs is told to stop at the next row, late results are discarded; what is done stays, and so do the output files. Returns
the final status and counts; changed false: it was over already. as_owner: refuse what belongs to somebody else. Errors: PQ002.';

-- source: sql/functions/rows/batch_append.sql
create function pgqueue.batch_append(id bigint, rows jsonb, hold boolean default true)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_lines integer[];
  v_inputs jsonb[];
begin
  select a.lines, a.inputs into v_lines, v_inputs from pgqueue._row_arrays(rows) a;
  return pgqueue.batch_append_each(id, coalesce(v_lines, '{}'), coalesce(v_inputs, '{}'), hold);
end $$;

comment on function pgqueue.batch_append is
'Adds rows, [{"line", "input"}, …], to a batch that is held, and returns how many it has now. hold: stay held; false releases it. Errors: PQ001, PQ002 unknown batch, PQ005 when it is not held; nothing is stored
then.';

-- source: sql/functions/rows/batch_append_each.sql
create function pgqueue.batch_append_each(id bigint, lines integer[], inputs jsonb[], hold boolean default true)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'batch', true);
  v_rows integer;
begin
  if v_batch.status <> 'held' or not v_batch.hold or v_batch.reason is not null then
    perform pgqueue._refuse('PQ005', format('batch %s is %s', id, case when v_batch.status <> 'held' then v_batch.status when v_batch.reason is not null then 'being aborted' else 'released' end), 'Rows can be appended while it is held.');
  end if;
  if hold is null then
    perform pgqueue._refuse('PQ001', 'hold is null', 'Give true to append more rows later, else false.');
  end if;
  v_rows := pgqueue._add_rows(v_batch, lines, inputs);
  if not hold then
    perform pgqueue.batch_release(id);
  end if;
  return v_rows;
end $$;

comment on function pgqueue.batch_append_each is
'batch_append for many rows: lines and inputs as parallel arrays. Errors: PQ001, PQ002, PQ005.';

-- source: sql/functions/rows/batch_context.sql
create function pgqueue.batch_context(id bigint)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_context jsonb;
begin
  select b.context into v_context from pgqueue.batch b where b.id = batch_context.id;
  if not found then
    perform pgqueue._refuse('PQ002', format('batch %s is unknown', coalesce(id::text, 'null')), 'It has been purged.');
  end if;
  return v_context;
end $$;

comment on function pgqueue.batch_context is
'For workers: the context of a batch or slow query, which its jobs do not carry; keep it while you work on the batch. Errors: PQ002.';

-- source: sql/functions/rows/batch_list.sql
create function pgqueue.batch_list(
  app text default null,
  op text default null,
  max_age interval default null,
  kind text default null,
  status text default null,
  max integer default 50,
  before bigint default null,
  owner text default null)
returns setof pgqueue.batch_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
begin
  if kind not in ('batch', 'slow_query') or status not in ('held', 'queued', 'running', 'succeeded', 'failed', 'aborted') then
    perform pgqueue._refuse('PQ001', format('kind is %L and status %L', kind, status),
      'Kinds: batch, slow_query. Statuses: held, queued, running, succeeded, failed, aborted.');
  end if;
  perform pgqueue._check_interval('max_age', max_age, true);
  if max is null or max not between 1 and 1000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 1000.');
  end if;
  -- Two statements, since one that allows for both would be planned for the worse.
  if app is not null and op is not null then
    return query
    select i.*
    from (
      select b from pgqueue.batch b
      where b.app between batch_list.app and batch_list.app and b.op between lower(batch_list.op collate "C") and lower(batch_list.op collate "C") and -b.id > -greatest(coalesce(before, 9223372036854775807), -9223372036854775807)
      order by b.app, b.op, -b.id) l(b)
    cross join lateral pgqueue._batch_info(l.b) i
    where (batch_list.kind is null or i.kind = batch_list.kind) and (batch_list.status is null or i.status = batch_list.status)
      and (batch_list.owner is null or i.owner = batch_list.owner) and (max_age is null or i.submitted_at > pgqueue._now() - max_age)
    limit max;
  else
    return query
    select i.*
    from (
      select b from pgqueue.batch b
      where b.id < coalesce(before, 9223372036854775807) and (batch_list.app is null or b.app = batch_list.app) and (batch_list.op is null or b.op = lower(batch_list.op collate "C"))
      order by b.id desc) l(b)
    cross join lateral pgqueue._batch_info(l.b) i
    where (batch_list.kind is null or i.kind = batch_list.kind) and (batch_list.status is null or i.status = batch_list.status)
      and (batch_list.owner is null or i.owner = batch_list.owner) and (max_age is null or i.submitted_at > pgqueue._now() - max_age)
    limit max;
  end if;
end $$;

comment on function pgqueue.batch_list is
'Batches and slow queries, newest first, at most max (1 to 1000) of them; next page: before = the last id. Filters: app, op, max_age since the submission, kind (batch, slow_query), status, owner. Errors: PQ001.';

-- source: sql/functions/rows/batch_purge.sql
create function pgqueue.batch_purge(older_than interval, app text default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch bigint;
  v_done bigint := 0;
begin
  perform pgqueue._check_interval('older_than', older_than, false);
  if older_than is null then
    perform pgqueue._refuse('PQ001', 'older_than is null', 'Give an interval, such as ''30 days''.');
  end if;
  for v_batch in
    select b.id from pgqueue.batch b
    where b.done_at <= pgqueue._now() - older_than and (batch_purge.app is null or b.app = batch_purge.app) order by b.id limit 1000 for update skip locked
  loop
    v_done := v_done + pgqueue._forget_batch(v_batch)::integer;
  end loop;
  return v_done;
end $$;

comment on function pgqueue.batch_purge is
'Forgets batches and slow queries that ended longer ago than that, with their rows and output files, at most 1000 at a time; returns how many. Those that are not over stay. Upkeep does the same after the
queue''s retention. Errors: PQ001.';

-- source: sql/functions/rows/batch_release.sql
create function pgqueue.batch_release(id bigint)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'batch', true);
  v_rows integer := (select c.rows from pgqueue.batch_count c where c.batch_id = id);
begin
  if v_batch.status = 'held' then
    update pgqueue.batch b set hold = false where b.id = v_batch.id and b.hold;
    perform pgqueue._let_go(v_batch.id, false);
  elsif v_batch.status <> 'queued' then
    perform pgqueue._refuse('PQ005', format('batch %s is %s', id, v_batch.status), 'It is over.');
  end if;
  return v_rows;
end $$;

comment on function pgqueue.batch_release is
'Lets a held batch run, and returns how many rows it has; one that runs already is left alone, one without rows has succeeded.
One that waits for other jobs (depends_on) runs when these have ended. Errors: PQ002, PQ005 when it is over.';

-- source: sql/functions/rows/batch_rows.sql
create function pgqueue.batch_rows(
  id bigint,
  after_line integer default null,
  max integer default 1000,
  after_row integer default null,
  as_owner text default null)
returns table (line integer, row_id integer, status text, done_at timestamptz, result jsonb, messages jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'batch', false);
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  if max is null or max not between 1 and 100000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 100000.');
  end if;
  return query
  select o.line, o.row_id, o.status, o.done_at, coalesce(o.result, 'null'), coalesce(o.messages, '[]')
  from pgqueue.row_outcome o
  where o.batch_id between batch_rows.id and batch_rows.id and o.line >= coalesce(after_line, 0)
    and (o.line > coalesce(after_line, -1) or o.row_id > coalesce(after_row, 2147483647))
  order by o.batch_id, o.line, o.row_id limit max;
end $$;

comment on function pgqueue.batch_rows is
'The rows of a batch that are done, in the order of (line, row id), max (1 to 100,000) of them; next page: after_line and after_row of the last one. Of a batch that runs still, those that are done so far. Errors: PQ001, PQ002.';

-- source: sql/functions/rows/batch_status.sql
create function pgqueue.batch_status(id bigint, as_owner text default null)
returns pgqueue.batch_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'batch', false);
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  return pgqueue._batch_info(v_batch);
end $$;

comment on function pgqueue.batch_status is
'Where a batch stands. status: held, queued, running (some of its rows have been done, or are being processed), or final: succeeded, failed (a row has), aborted (a row was). waits_for: what holds one that is held, of release
(see batch_release) and parents (depends_on; see the functions parents and why). try_later: it is not final, ask again. rows, pending,
succeeded, failed, aborted: counts, always of this moment. files: names of the output files with their lines and characters, once it is final. Errors: PQ002.';

-- source: sql/functions/rows/batch_submit.sql
create function pgqueue.batch_submit(
  app text,
  op text,
  context jsonb default '{}',
  rows jsonb default '[]',
  hold boolean default false,
  owner text default null,
  priority integer default 0,
  slice_size integer default 10,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_lines integer[];
  v_inputs jsonb[];
begin
  select a.lines, a.inputs into v_lines, v_inputs from pgqueue._row_arrays(rows) a;
  return pgqueue.batch_submit_each(app, op, context, coalesce(v_lines, '{}'), coalesce(v_inputs, '{}'), hold, owner, priority, slice_size, depends_on, on_parent_failure, on_success, on_error);
end $$;

comment on function pgqueue.batch_submit is
'Hands rows over to be processed, each once, by the processor of this application''s operation on whatever worker has one; returns the batch''s id. rows: [{"line": 1, "input": …}, …]; lines are the
caller''s numbers, from 1, gaps and doubles allowed. context: goes to the processor with every row. hold: nothing runs yet, more rows will be appended. owner: who it belongs to (default:
the role that calls). slice_size: how many rows a worker takes at a time. op is lower-cased.
depends_on: ids of jobs, batches and slow queries that must end first; it is held until then, and when hold is
given too, until it is released as well. on_parent_failure: when one of them fails or is cancelled, cancel (it is aborted, reason parent_failed), run it all the same, or wait until that one has been retried. on_success, on_error:
a job, or an array of jobs, as enqueue_many takes them, enqueued when it succeeds, or fails or is aborted; its "pass_as" names the argument that receives {"succeeded", "failed", "aborted"}, or {"state", "reason", "error"}.
Errors: PQ001, also for no rows unless held; PQ002 for an unknown id in depends_on; PQ008 its queue, app/op, has max_queued and is full, unless held; nothing is stored then.';

-- source: sql/functions/rows/batch_submit_each.sql
create function pgqueue.batch_submit_each(
  app text,
  op text,
  context jsonb,
  lines integer[],
  inputs jsonb[],
  hold boolean default false,
  owner text default null,
  priority integer default 0,
  slice_size integer default 10,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._new_batch('batch', app, op, context, hold, owner, priority, slice_size, depends_on, on_parent_failure, on_success, on_error);
begin
  if pgqueue._add_rows(v_batch, lines, inputs) = 0 and not hold then
    perform pgqueue._refuse('PQ001', 'the batch has no rows', 'Give some, or hold the batch and append them.');
  end if;
  perform pgqueue._put_gate(v_batch, depends_on, on_parent_failure);
  return v_batch.id;
end $$;

comment on function pgqueue.batch_submit_each is
'batch_submit for many rows: lines and inputs as parallel arrays. A hundred thousand rows are a second. Errors: PQ001, PQ002; PQ008 its queue is full.';

-- source: sql/functions/rows/output_file.sql
create function pgqueue.output_file(id bigint, name text, after_line integer default null, after_row integer default null, chars integer default 1000000, as_owner text default null)
returns table (data text, next_line integer, next_row integer, is_last boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch;
  v_row record;
  v_parts text[] := array[]::text[];
  v_size bigint := 0;
  v_rows integer := 0;
begin
  select * into v_batch from pgqueue.batch b where b.id = output_file.id;
  if v_batch.id is null then
    perform pgqueue._refuse('PQ002', format('batch %s is unknown', coalesce(id::text, 'null')), 'It was never submitted, or it has been purged.');
  end if;
  perform pgqueue._check_owner(v_batch, as_owner);
  if v_batch.done_at is null then
    perform pgqueue._refuse('PQ005', format('batch %s is not over', id), 'Its output files are there when it is.');
  end if;
  if not exists (select from pgqueue.batch_file f where f.batch_id = output_file.id and f.name = output_file.name) then
    perform pgqueue._refuse('PQ002', format('batch %s has no output file %L', id, name), 'batch_status names those it has.');
  end if;
  if chars is null or chars not between 1 and 100000000 then
    perform pgqueue._refuse('PQ001', format('chars is %s', coalesce(chars::text, 'null')), 'Give about how many characters you want at a time, from 1 to 100000000.');
  end if;
  is_last := true;
  for v_row in
    -- In one expression: a call for each row would be most of the time it takes.
    select o.line, o.row_id, case jsonb_typeof(o.output -> name)
      when 'array' then (
        select string_agg(l.text || E'\n', '' order by l.nth)
        from jsonb_array_elements_text(o.output -> name) with ordinality l(text, nth) where l.text is not null)
      when 'null' then null
      else (o.output ->> name) || E'\n' end as text
    from pgqueue.row_outcome o
    where o.batch_id between output_file.id and output_file.id
      and (o.line, o.row_id) > (coalesce(after_line, -1), coalesce(after_row, 2147483647 * (after_line is not null)::integer - (after_line is null)::integer))
    order by o.batch_id, o.line, o.row_id limit 100001
  loop
    v_rows := v_rows + 1;
    if v_size >= chars or v_rows > 100000 then
      is_last := false;
      exit;
    end if;
    next_line := v_row.line;
    next_row := v_row.row_id;
    if v_row.text is not null then
      v_parts := array_append(v_parts, v_row.text);
      v_size := v_size + length(v_row.text);
    end if;
  end loop;
  data := array_to_string(v_parts, '');
  return next;
end $$;

comment on function pgqueue.output_file is
'A piece of an output file of a batch that is over: lines of its rows in the order of (line, row id). Begin with nulls; next_line and next_row are after_line and after_row of the next call, until is_last. chars: about how many
characters at a time; a piece can be empty where no row has lines for this file. Errors: PQ001; PQ002 no such batch or file; PQ005 the batch is not over.';

-- source: sql/functions/rows/slow_query_abort.sql
create function pgqueue.slow_query_abort(id bigint, as_owner text default null, why text default null)
returns table (status text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  return query select a.status, a.changed from pgqueue._abort(id, 'slow_query', as_owner, why) a;
end $$;

comment on function pgqueue.slow_query_abort is
'Aborts a slow query: it will not run, or is told to stop and what it still brings is discarded. changed false: it was over already. Errors: PQ002.';

-- source: sql/functions/rows/slow_query_status.sql
create function pgqueue.slow_query_status(id bigint, as_owner text default null)
returns table (status text, try_later boolean, result jsonb, messages jsonb, files jsonb, submitted_at timestamptz, done_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'slow_query', false);
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  return query
  select i.status, i.try_later, case when i.status <> 'aborted' then o.result end, case when i.status <> 'aborted' then o.messages end, i.files, i.submitted_at, i.done_at
  from pgqueue._batch_info(v_batch) i
  left join lateral (
    select o.result, o.messages from pgqueue.row_outcome o
    where i.done_at is not null and o.batch_id = i.id and o.line = 0 and o.row_id = 0 offset 0) o on true;
end $$;

comment on function pgqueue.slow_query_status is
'Where a slow query stands: status held (by depends_on), queued, running, succeeded, failed or aborted. try_later: it is not over, ask again. result, messages: what its processor gave; null for an aborted one. files: its output files. The same answer
for as long as it is kept. Errors: PQ002.';

-- source: sql/functions/rows/slow_query_submit.sql
create function pgqueue.slow_query_submit(
  app text,
  op text,
  context jsonb default '{}',
  input jsonb default '{}',
  owner text default null,
  priority integer default 0,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._new_batch('slow_query', app, op, context, false, owner, priority, 1, depends_on, on_parent_failure, on_success, on_error);
begin
  perform pgqueue._add_rows(v_batch, array[0], array[input]);
  perform pgqueue._put_gate(v_batch, depends_on, on_parent_failure);
  return v_batch.id;
end $$;

comment on function pgqueue.slow_query_submit is
'Hands one input over to the slow-query processor of this application''s operation; returns an id to ask after. op is lower-cased. depends_on, on_parent_failure, on_success, on_error: as in batch_submit; what on_success passes is what the
processor gave. Errors: PQ001, PQ002 for an unknown id in depends_on; PQ008 its queue is full; nothing is stored then.';

-- source: sql/functions/keyed/keyed_ack.sql
-- The hot path, as that of settle: a lease of one item that has no more traits than any has, in a queue that keeps its history: in one statement, which takes the lease first, and
-- nothing without it. The rest goes the way of every final transition; there the result comes last, so that whoever ends the item has it alone.
create function pgqueue.keyed_ack(
  queue text default null,
  key text default null,
  id bigint default null,
  result text default null,
  ttl interval default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_id bigint := case when keyed_ack.id is null then pgqueue._keyed_id(keyed_ack.queue, keyed_ack.key, null) else keyed_ack.id end;
  v_now timestamptz := pgqueue._now();
  v_item record;
  v_end record;
begin
  if ttl is not null then
    perform pgqueue._check_interval('ttl', ttl, true);
  end if;
  with held as (
    delete from pgqueue.lease l
    where l.id = (select i.lease_id from pgqueue.keyed_item i where i.job_id = v_id) and l.job_ids = array[v_id] and l.traits = array[1025] and l.forget = 0
    returning l.worker_id, l.claimed_at, l.attempts),
  item as (delete from pgqueue.keyed_item i where i.job_id = v_id and exists (select from held) returning i.queue, i.key),
  what as (delete from pgqueue.keyed_payload p where p.job_id = v_id and exists (select from held)),
  who as (delete from pgqueue.keyed_request r where r.job_id = v_id and r.external_id is null and exists (select from held)),
  taken as (delete from pgqueue.job_key k where k.job_id = v_id and exists (select from held)),
  outcome as (
    insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt)
    select v_id, v_now, h.claimed_at, nullif(h.worker_id, 0), 'succeeded', h.attempts[1] from held h),
  stored as (
    insert into pgqueue.keyed_result (job_id, expires_at, taken, state, queue, key, result)
    select v_id, v_now + coalesce(ttl, (select c.keyed_ttl from pgqueue.config c)), false, 'succeeded', i.queue, i.key, keyed_ack.result
    from item i where keyed_ack.result is not null)
  -- The lock is for _keyed_settled.
  select pgqueue._keyed_line(i.queue) as line, pg_advisory_xact_lock_shared(pgqueue._lock_class('keyed end'), (v_id & 255)::integer),
    exists (select from pgqueue.queue q where q.name = pgqueue._keyed_line(i.queue) and q.max_running is not null) as limited
  into v_item
  from item i;
  if found then
    if not pgqueue._nobody_waits() then
      perform pgqueue._announce(array[v_id]);
    end if;
    if v_item.limited then
      perform pgqueue._wake(v_item.line);  -- workers that found no place
    end if;
    return true;
  end if;

  select i.job_id, i.queue, i.key into v_item from pgqueue.keyed_item i where i.job_id = v_id;
  if not found then
    return false;
  end if;
  select * into v_end from pgqueue._keyed_end(v_id, 'succeeded', null);
  if not v_end.ended then
    return false;
  end if;
  if result is not null then
    insert into pgqueue.keyed_result (job_id, expires_at, taken, state, queue, key, result)
    values (v_id, v_now + coalesce(ttl, (select c.keyed_ttl from pgqueue.config c)), false, 'succeeded', v_item.queue, v_item.key, keyed_ack.result);
  end if;
  if v_end.was_active and exists (select from pgqueue.queue q where q.name = v_end.line and q.max_running is not null) then
    perform pgqueue._wake(v_end.line);
  end if;
  return true;
end $$;

comment on function pgqueue.keyed_ack is
'Ends an item and stores its result, text of any size; with null there is none, and who waits gets nothing. ttl: how long the result is kept (keyed_ttl, 5 minutes). False: the item is gone, nothing is changed. By id it never touches a
newer item of that key. Also a waiting item can be ended so. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_active.sql
create function pgqueue.keyed_active(queue text, process_id text default null)
returns table (key text, id bigint, status text, priority integer, extra text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  return query
  select i.key::text, i.job_id, 'active', i.priority::integer, i.extra
  from pgqueue.keyed_item i
  where i.queue = keyed_active.queue and i.lease_id is not null and (not i.exclusive or i.process_id = keyed_active.process_id)
  order by i.job_id + 0;
end $$;

comment on function pgqueue.keyed_active is
'Items of a queue that are being executed, by id. Exclusive items of other processes are left out. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_add.sql
create function pgqueue.keyed_add(
  queue text,
  key text,
  payload text,
  priority integer default 0,
  orphan_ms bigint default null,
  process_id text default null,
  exclusive boolean default false,
  external_id text default null,
  stage_key text default null,
  reuse boolean default false,
  max_attempts integer default 1)
returns table (id bigint, created boolean, pending integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_key record;
begin
  perform pgqueue._check_keyed_item(queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts);
  v_key := pgqueue._keyed_key(queue, key, priority, orphan_ms, external_id, reuse);
  id := v_key.id;
  created := v_key.created;
  if created then
    perform pgqueue._keyed_store(id, queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts, false, 0::smallint);
  end if;
  select count(*) into pending from pgqueue.keyed_item i where i.queue = keyed_add.queue and i.lease_id is null;
  return next;
end $$;

comment on function pgqueue.keyed_add is
'Adds an item to a keyed queue, or joins the one that holds the key (created false): its payload stands, its deadline moves later, its priority higher, if this request asks for that. Never waits for a claim. pending: the
items of the queue that wait.
payload: text of any size. orphan_ms: milliseconds after which the item counts as orphaned unless it is asked for again; null: the reader says. process_id: who adds it, up to 96 characters;
exclusive: only that process sees and claims it. external_id: up to 48 characters; whoever gave one reads the result any number of times. stage_key: for keyed_stage. reuse: a result of this key that nobody has read is
as good: its id comes back, created false. max_attempts: how often workers try; a client''s ack is final.
Errors: PQ001; PQ005 when a job that is no item holds the key. Nothing is stored then.';

-- source: sql/functions/keyed/keyed_add_and_claim.sql
-- The key before the lock: who waits for another's uncommitted key must hold nothing that a claim needs.
create function pgqueue.keyed_add_and_claim(
  queue text,
  key text,
  payload text,
  priority integer default 0,
  orphan_ms bigint default null,
  process_id text default null,
  exclusive boolean default false,
  external_id text default null,
  concurrency integer default null,
  stage_key text default null,
  reuse boolean default false,
  max_attempts integer default 1)
returns setof pgqueue.keyed_add_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_add pgqueue.keyed_add_info;
  v_key record;
  v_room record;
  v_claims boolean;
begin
  perform pgqueue._check_keyed_item(queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts);
  if concurrency < 0 then
    perform pgqueue._check_concurrency(concurrency);
  end if;
  v_key := pgqueue._keyed_key(queue, key, priority, orphan_ms, external_id, reuse);
  v_add.id := v_key.id;
  v_add.created := v_key.created;
  v_room := pgqueue._keyed_room(queue, concurrency, case when not v_add.created then v_add.id end);
  -- Of the others that wait, none is passed by.
  v_claims := not v_room.paused and v_room.room > v_room.pending - case when v_add.created then 0 else 1 end;
  if v_add.created then
    perform pgqueue._keyed_store(v_add.id, queue, key, payload, priority, orphan_ms, process_id, exclusive, external_id, stage_key, max_attempts, v_claims, v_room.forget);
    v_add := row(v_add.id, true, v_room.pending + case when v_claims then 0 else 1 end, case when v_claims then v_room.active || key else v_room.active end,
      case when v_claims then payload end, null);
    return next v_add;
    return;
  end if;
  v_add.pending := v_room.pending;
  v_add.active := v_room.active;
  if v_claims and v_room.item is not null and v_room.item_lease is null
    and (not v_room.item_exclusive or v_room.item_process is not distinct from keyed_add_and_claim.process_id)
    and pgqueue._keyed_take(v_add.id, pgqueue._keyed_line(queue), v_room.forget)
  then
    v_add.pending := v_add.pending - 1;
    v_add.active := v_add.active || v_room.item_key;
    v_add.extra := v_room.item_extra;
    select p.payload into v_add.payload from pgqueue.keyed_payload p where p.job_id = v_add.id;
  end if;
  return next v_add;
end $$;

comment on function pgqueue.keyed_add_and_claim is
'keyed_add and keyed_claim in one step: adds or joins the item, and claims it at once if fewer than concurrency items of the queue are active or wait before it. payload: null when it was not claimed; then it waits, or runs already. active:
the keys of active items, by id. pending: the items that wait now. Errors: PQ001, PQ005.';

-- source: sql/functions/keyed/keyed_cancel.sql
create function pgqueue.keyed_cancel(queue text default null, key text default null, id bigint default null)
returns setof pgqueue.keyed_item_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_item pgqueue.keyed_item_info;
begin
  select i.job_id, p.payload, i.extra, case when i.lease_id is null then 'pending' else 'active' end, i.key into v_item
  from pgqueue.keyed_item i join pgqueue.keyed_payload p on p.job_id = i.job_id
  where i.job_id = case when keyed_cancel.id is null then pgqueue._keyed_id(keyed_cancel.queue, keyed_cancel.key, null) else keyed_cancel.id end;
  if found and pgqueue._keyed_drop(v_item.id, 'cancelled_by_user') then
    return next v_item;
  end if;
end $$;

comment on function pgqueue.keyed_cancel is
'Removes an item, waiting or active, and returns what it was to exactly one caller; no row when it is gone. Who waits for it is told and gets nothing; who executes it is told (a notification on the channel pgqueue_keyed with the id, or the
worker''s own), and its ack is refused. Errors: PQ001 without id or key.';

-- source: sql/functions/keyed/keyed_claim.sql
create function pgqueue.keyed_claim(
  queue text,
  key text default null,
  id bigint default null,
  concurrency integer default 1,
  process_id text default null)
returns setof pgqueue.keyed_claim_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_claim pgqueue.keyed_claim_info;
  v_room record;
begin
  if not coalesce(octet_length(queue) between 1 and 450 and queue !~ '[\x01-\x1f\x7f-\x9f]' and coalesce(concurrency, 0) >= 0 and process_id is null, false) then
    perform pgqueue._check_name('queue', queue, 1000);
    perform pgqueue._check_concurrency(concurrency);
    perform pgqueue._check_process(process_id);
  end if;
  v_room := pgqueue._keyed_room(queue, concurrency, case when keyed_claim.id is null then pgqueue._keyed_id(queue, key, null) else keyed_claim.id end);
  v_claim.pending := v_room.pending;
  v_claim.active := v_room.active;
  v_claim.refused := case
    when v_room.paused then 'paused'
    when v_room.room <= 0 then 'budget'
    when v_room.item is null or v_room.item_queue <> keyed_claim.queue or v_room.item_key <> keyed_claim.key then 'unknown'
    when v_room.item_lease is not null then 'active'
    when v_room.item_exclusive and v_room.item_process is distinct from keyed_claim.process_id then 'exclusive'
    when not pgqueue._keyed_take(v_room.item, pgqueue._keyed_line(v_room.item_queue), v_room.forget) then 'busy' end;
  if v_claim.refused is null then
    v_claim.id := v_room.item;
    v_claim.pending := v_claim.pending - 1;
    v_claim.active := v_claim.active || v_room.item_key;
    v_claim.extra := v_room.item_extra;
    select p.payload into v_claim.payload from pgqueue.keyed_payload p where p.job_id = v_room.item;
  end if;
  return next v_claim;
end $$;

comment on function pgqueue.keyed_claim is
'Claims one item by its key, or by its id, of at most concurrency active ones (null: the queue''s max_running alone, which holds in any case). One row always: refused is null when the claim is made, else paused, budget (no place is free),
unknown (gone, or the id is not this key''s), active, exclusive (another process''s) or busy (another session is at it just now, or it waits for a retry), and nothing is changed. pending, active: what waits and the keys of what is
active now, with it. Claims of one queue go one after the other: commit soon. Errors: PQ001, PQ005 outside read committed.';

-- source: sql/functions/keyed/keyed_claim_next.sql
-- From the list itself, not by the claim's lanes: in its order, with those that came back from a crash, and wherever they stand. Who has the queue's lock meets nobody else here
-- but workers' claims, whose items it skips.
create function pgqueue.keyed_claim_next(
  queue text,
  concurrency integer default null,
  process_id text default null,
  n integer default 1)
returns table (id bigint, key text, payload text, extra text, pending integer, active text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_line text := pgqueue._keyed_line(queue);
  v_room record;
  v_left integer;
  v_item bigint;
  v_items bigint[] := array[]::bigint[];
begin
  if not coalesce(octet_length(queue) between 1 and 450 and queue !~ '[\x01-\x1f\x7f-\x9f]' and coalesce(concurrency, 0) >= 0 and process_id is null and n between 1 and 1000, false) then
    perform pgqueue._check_name('queue', queue, 1000);
    perform pgqueue._check_concurrency(concurrency);
    perform pgqueue._check_process(process_id);
    if coalesce(n, 0) not between 1 and 1000 then
      perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Give a whole number from 1 to 1000.');
    end if;
  end if;
  v_room := pgqueue._keyed_room(queue, concurrency, null);
  v_left := least(n, v_room.room, v_room.pending);
  if v_left <= 0 or v_room.paused then
    return;
  end if;
  for v_item in
    select i.job_id from pgqueue.keyed_item i
    where i.queue = keyed_claim_next.queue and i.lease_id is null and (not i.exclusive or i.process_id = keyed_claim_next.process_id)
    order by i.priority desc, i.job_id
  loop
    continue when not pgqueue._keyed_take(v_item, v_line, v_room.forget);
    v_items := v_items || v_item;
    v_left := v_left - 1;
    exit when v_left = 0;
  end loop;
  return query
  select i.job_id, i.key::text, p.payload, i.extra, v_room.pending - cardinality(v_items),
    v_room.active || array(select k.key from unnest(v_items) o(id) cross join lateral (select k.key from pgqueue.keyed_item k where k.job_id = o.id offset 0) k)
  from unnest(v_items) with ordinality e(id, ord)
  cross join lateral (select i.* from pgqueue.keyed_item i where i.job_id = e.id offset 0) i
  cross join lateral (select p.payload from pgqueue.keyed_payload p where p.job_id = e.id offset 0) p
  order by e.ord;
end $$;

comment on function pgqueue.keyed_claim_next is
'Claims the next items of a queue, up to n and to what concurrency (null: the queue''s max_running alone, which holds in any case) leaves free: higher priority first, then the oldest; none when there is none. Callers do not race for one head. Errors: PQ001, PQ005
outside read committed.';

-- source: sql/functions/keyed/keyed_extend.sql
create function pgqueue.keyed_extend(id bigint, orphan_ms bigint)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  if not exists (select from pgqueue.keyed_item i where i.job_id = keyed_extend.id) then
    return false;
  end if;
  perform pgqueue._keyed_join(id, pgqueue._now(), orphan_ms, null);
  return true;
end $$;

comment on function pgqueue.keyed_extend is
'Asks for an item again, as one does who goes on waiting for it: its deadline moves later by the rules of keyed_add. False: it is gone. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_get.sql
create function pgqueue.keyed_get(queue text default null, key text default null, id bigint default null)
returns setof pgqueue.keyed_item_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  return query
  select i.job_id, p.payload, i.extra, case when i.lease_id is null then 'pending' else 'active' end, i.key::text
  from pgqueue.keyed_item i join pgqueue.keyed_payload p on p.job_id = i.job_id
  where i.job_id = case when keyed_get.id is null then pgqueue._keyed_id(keyed_get.queue, keyed_get.key, null) else keyed_get.id end;
end $$;

comment on function pgqueue.keyed_get is
'One item of a keyed queue, by its id where one is given, else by its key; no row when it is gone. Errors: PQ001 without either.';

-- source: sql/functions/keyed/keyed_heartbeat.sql
create function pgqueue.keyed_heartbeat(queue text default null, key text default null, id bigint default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  update pgqueue.keyed_item i set heartbeat_at = pgqueue._now()
  where i.job_id = case when keyed_heartbeat.id is null then pgqueue._keyed_id(keyed_heartbeat.queue, keyed_heartbeat.key, null) else keyed_heartbeat.id end;
  return found;
end $$;

comment on function pgqueue.keyed_heartbeat is
'Says that an item is still being executed. False: it is gone, stop. Errors: PQ001 without id or key.';

-- source: sql/functions/keyed/keyed_keys.sql
create function pgqueue.keyed_keys(queue text, process_id text default null)
returns table (key text, id bigint, status text, priority integer, extra text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  return query
  select i.key::text, i.job_id, case when i.lease_id is null then 'pending' else 'active' end, i.priority::integer, i.extra
  from pgqueue._keyed_items(keyed_keys.queue, keyed_keys.process_id) i
  order by i.priority desc, i.job_id;
end $$;

comment on function pgqueue.keyed_keys is
'keyed_list without the payloads, which it does not read however large they are. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_list.sql
create function pgqueue.keyed_list(queue text, process_id text default null)
returns table (key text, id bigint, status text, priority integer, extra text, payload text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  return query
  select i.key::text, i.job_id, case when i.lease_id is null then 'pending' else 'active' end, i.priority::integer, i.extra, p.payload
  from pgqueue._keyed_items(keyed_list.queue, keyed_list.process_id) i
  cross join lateral (select p.payload from pgqueue.keyed_payload p where p.job_id = i.job_id offset 0) p
  order by i.priority desc, i.job_id;
end $$;

comment on function pgqueue.keyed_list is
'Items of a queue with their payloads: higher priority first, then the oldest. Exclusive items of other processes are left out. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_merge_extra.sql
create function pgqueue.keyed_merge_extra(queue text default null, key text default null, id bigint default null, extra text default null)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_variable
declare
  v_new text := pgqueue._json_object_or_refuse('extra', extra);
begin
  update pgqueue.keyed_item i set extra = case when i.extra is null or v_new is null then v_new else pgqueue._merge_json(i.extra, v_new) end
  where i.job_id = case when keyed_merge_extra.id is null then pgqueue._keyed_id(queue, key, null) else keyed_merge_extra.id end;
  return found;
end $$;

comment on function pgqueue.keyed_merge_extra is
'Adds the members of a JSON object to an item''s extra; those it has already are replaced. JSON null clears it. Numbers and strings come back as they were written. False: the item is gone. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_orphaned.sql
create function pgqueue.keyed_orphaned(queue text, orphan_ms bigint)
returns table (key text, id bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  return query select l.key, l.id from pgqueue._keyed_lapsed(keyed_orphaned.queue, null, keyed_orphaned.orphan_ms) l;
end $$;

comment on function pgqueue.keyed_orphaned is
'Waiting items whose deadline has passed: the latest of those their requests gave; a request that gave none counts orphan_ms milliseconds from when it came. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_pending.sql
create function pgqueue.keyed_pending(queue text, process_id text default null)
returns table (key text, id bigint, status text, priority integer, extra text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  return query
  select i.key::text, i.job_id, 'pending', i.priority::integer, i.extra
  from pgqueue.keyed_item i
  where i.queue = keyed_pending.queue and i.lease_id is null and (not i.exclusive or i.process_id = keyed_pending.process_id)
  order by i.priority desc, i.job_id;
end $$;

comment on function pgqueue.keyed_pending is
'Items of a queue that wait, in the order in which they are to be claimed. Exclusive items of other processes are left out. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_reap.sql
-- Items that another session has in hand are left to it.
create function pgqueue.keyed_reap(
  queue text,
  heartbeat_ms bigint default null,
  orphan_ms bigint default null,
  max integer default 1000,
  release boolean default false)
returns table (id bigint, key text, payload text, extra text, why text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_ms('heartbeat_ms', heartbeat_ms);
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  if coalesce(max, 0) not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a whole number from 1 to 10000.');
  end if;
  for id, key, why in
    select l.id, l.key, l.why from pgqueue._keyed_lapsed(keyed_reap.queue, keyed_reap.heartbeat_ms, keyed_reap.orphan_ms) l order by l.id limit keyed_reap.max
  loop
    continue when not pgqueue._keyed_at_hand(id, why, heartbeat_ms, orphan_ms);
    select i.extra, p.payload into extra, payload from pgqueue.keyed_item i join pgqueue.keyed_payload p on p.job_id = i.job_id where i.job_id = id;
    if why = 'stalled' and release then
      continue when not pgqueue._keyed_release(id);
    else
      continue when not pgqueue._keyed_drop(id, case why when 'stalled' then 'worker_lost' else 'orphaned' end);
    end if;
    return next;
  end loop;
end $$;

comment on function pgqueue.keyed_reap is
'Removes items that are stalled or orphaned (see keyed_to_cancel; a null leaves that half out) and returns what they were, each to exactly one caller: up to max. why: stalled or orphaned. release: stalled items go back to where they wait
instead, until they were in max_crashes of those. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_result.sql
-- Who takes the newest result of a key has it alone: a second reader waits for the first and finds it taken.
create function pgqueue.keyed_result(queue text, key text, external_id text default null)
returns table (id bigint, payload text, state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
begin
  perform pgqueue._check_keyed(queue, key);
  if external_id is not null then
    return query
    select r.job_id, r.result, r.state::text
    from (
      select r.* from pgqueue.keyed_result r where r.queue = keyed_result.queue and r.key = keyed_result.key order by r.job_id + 0 desc offset 0) r
    where r.expires_at > v_now
      and (select q.job_id from pgqueue.keyed_request q where q.job_id = r.job_id and q.external_id = keyed_result.external_id limit 1) is not null
    order by r.job_id desc limit 1;
    if found then
      return;
    end if;
  end if;
  return query
  update pgqueue.keyed_result u set taken = true
  where u.job_id = (
      select r.job_id
      from (
        select r.job_id, r.expires_at from pgqueue.keyed_result r
        where r.queue = keyed_result.queue and r.key = keyed_result.key order by r.job_id + 0 desc limit 1) r
      where r.expires_at > v_now)
    and not u.taken
  returning u.job_id, u.result, u.state::text;
end $$;

comment on function pgqueue.keyed_result is
'The newest result of a key, once: whoever reads first has it, the next gets no row. With the external_id under which the item was asked for, any number of times. state: succeeded, or failed with the payload {"error": message} when a
worker gave up. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_result_by_id.sql
create function pgqueue.keyed_result_by_id(id bigint, external_id text default null, hide boolean default true)
returns setof pgqueue.keyed_result_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  if external_id is not null and exists (select from pgqueue.keyed_result r where r.job_id = keyed_result_by_id.id)
    and not exists (select from pgqueue.keyed_request q where q.job_id = keyed_result_by_id.id and q.external_id = keyed_result_by_id.external_id)
  then
    perform pgqueue._refuse('PQ001', format('item %s was not asked for as %L', id, external_id), 'Give the external_id of keyed_add, or none.');
  end if;
  if not exists (select from pgqueue.keyed_result r where r.job_id = keyed_result_by_id.id) then
    perform pgqueue._keyed_settled(id);
  end if;
  if hide then
    -- The first reader's work; nobody waits for a reader.
    update pgqueue.keyed_result r set taken = true
    where r.ctid = (
      select r.ctid from pgqueue.keyed_result r where r.job_id = keyed_result_by_id.id and not r.taken for no key update skip locked);
  end if;
  return query
  select r.job_id, r.result, r.state::text from pgqueue.keyed_result r where r.job_id = keyed_result_by_id.id and r.expires_at > pgqueue._now();
end $$;

comment on function pgqueue.keyed_result_by_id is
'The result of one item, any number of times until it expires; no row when there is none: not yet, no more, or never. hide: reads by key do not get it any more, so that who asks for the key next does not have an old run''s. To wait: listen to
pgqueue_done, call watch(array[id]), then keyed_state(id); while that is pending or active, a notification with the id as its payload will come; then read. Errors: PQ001 when external_id is not one of this item''s.';

-- source: sql/functions/keyed/keyed_stage.sql
create function pgqueue.keyed_stage(queue text, stage_key text, priority integer default null)
returns table (id bigint, stage text, "position" integer, elapsed_ms bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_name('stage_key', stage_key, 1000);
  select i.job_id, case when i.lease_id is null then 'pending' else 'active' end, i.priority,
    (extract(epoch from pgqueue._now() - coalesce(i.claimed_at, i.created_at)) * 1000)::bigint
  into id, stage, "position", elapsed_ms
  from pgqueue._keyed_items(keyed_stage.queue, null) i
  where i.stage_key = keyed_stage.stage_key and (keyed_stage.priority is null or i.priority = keyed_stage.priority)
  order by i.lease_id is null, i.priority desc, i.job_id limit 1;
  if not found then
    return;
  end if;
  "position" := case when stage = 'pending' then (
    select count(*) from pgqueue.keyed_item i, (select k.priority, k.job_id from pgqueue.keyed_item k where k.job_id = keyed_stage.id) k
    where i.queue = keyed_stage.queue and i.lease_id is null and (keyed_stage.priority is null or i.priority = keyed_stage.priority)
      and (i.priority > k.priority or i.priority = k.priority and i.job_id <= k.job_id)) end;
  return next;
end $$;

comment on function pgqueue.keyed_stage is
'How far the first item with this stage_key (and priority) is: stage active, or pending with its position among those that wait (of that priority, if one is given), counted from 1. elapsed_ms: since it was claimed, or added. No row when
there is none. Reads no payload. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_stalled.sql
create function pgqueue.keyed_stalled(queue text, heartbeat_ms bigint)
returns table (key text, id bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_ms('heartbeat_ms', heartbeat_ms);
  return query select l.key, l.id from pgqueue._keyed_lapsed(keyed_stalled.queue, keyed_stalled.heartbeat_ms, null) l;
end $$;

comment on function pgqueue.keyed_stalled is
'Active items whose last heartbeat, or claim, is more than heartbeat_ms milliseconds ago; whosever they are. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_state.sql
create function pgqueue.keyed_state(id bigint)
returns table (state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._keyed_settled(id);
  return query
  select coalesce(
    (select case when i.lease_id is null then 'pending' else 'active' end from pgqueue.keyed_item i where i.job_id = keyed_state.id),
    (select r.state::text from pgqueue.keyed_result r where r.job_id = keyed_state.id),
    (select o.state::text from pgqueue.outcome o where o.job_id = keyed_state.id),
    'gone');
end $$;

comment on function pgqueue.keyed_state is
'Where an item stands: pending, active, succeeded, failed, cancelled, or gone when nothing of it is left. An end that is in progress is let finish first: who has called watch and is told pending or active here gets a notification when
the item ends. Errors: none.';

-- source: sql/functions/keyed/keyed_to_cancel.sql
create function pgqueue.keyed_to_cancel(queue text, heartbeat_ms bigint default null, orphan_ms bigint default null)
returns table (key text, id bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_ms('heartbeat_ms', heartbeat_ms);
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  return query select l.key, l.id from pgqueue._keyed_lapsed(keyed_to_cancel.queue, keyed_to_cancel.heartbeat_ms, keyed_to_cancel.orphan_ms) l;
end $$;

comment on function pgqueue.keyed_to_cancel is
'keyed_stalled and keyed_orphaned together; a null leaves that half out. keyed_reap does the rest as well. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_truncate.sql
create function pgqueue.keyed_truncate(queue text)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_item bigint;
  v_done bigint := 0;
begin
  perform pgqueue._check_name('queue', queue, 1000);
  for v_item in
    select u.job_id
    from (
      select i.job_id from pgqueue.keyed_item i where i.queue = keyed_truncate.queue and i.lease_id is null
      union all
      select i.job_id from pgqueue.keyed_item i where i.queue = keyed_truncate.queue and i.lease_id is not null) u
    order by u.job_id + 0
  loop
    v_done := v_done + case when pgqueue._keyed_drop(v_item, 'cancelled_by_user') then 1 else 0 end;
  end loop;
  delete from pgqueue.keyed_request q
  where q.job_id = any(array(select r.job_id from pgqueue.keyed_result r where r.queue = keyed_truncate.queue));
  delete from pgqueue.keyed_result r where r.queue = keyed_truncate.queue;
  return v_done;
end $$;

comment on function pgqueue.keyed_truncate is
'Empties one keyed queue: cancels its items, waiting and active, and forgets its results. Returns how many items there were. Errors: PQ001.';

-- source: sql/functions/keyed/keyed_wait.sql
-- As wait: a procedure, because waiting inside a function would pin one snapshot for as long.
create procedure pgqueue.keyed_wait(
  id bigint,
  timeout interval default '1 minute',
  inout payload text default null,
  inout state text default null)
language plpgsql
as $$
#variable_conflict use_variable
declare
  -- Its caller's search_path may put other operators first; these are named in full.
  v_until float8 := extract(epoch from pg_catalog.clock_timestamp())::float8 operator(pg_catalog.+)
    extract(epoch from coalesce(timeout, '1 minute'::interval))::float8;
  v_left float8;
  v_pause float8 := 0.005;
begin
  loop
    select r.state into state from pgqueue.keyed_state(id) r;
    commit;
    v_left := v_until operator(pg_catalog.-) extract(epoch from pg_catalog.clock_timestamp())::float8;
    exit when state operator(pg_catalog.<>) all (array['pending', 'active']::text[]) or v_left operator(pg_catalog.<=) 0::float8;
    perform pg_catalog.pg_sleep(least(v_pause, v_left));
    v_pause := least(v_pause operator(pg_catalog.*) 1.5::float8, 0.5::float8);
  end loop;
  select r.payload into payload from pgqueue.keyed_result_by_id(id) r;
  commit;
end $$;

comment on procedure pgqueue.keyed_wait is
'Waits until an item has ended, for at most timeout, and gives its result, null when there is none: call pgqueue.keyed_wait(42). state: succeeded, failed, cancelled; pending or active on a timeout; gone when the item and its
result are past. For clients that cannot listen; it polls. Call it outside a transaction block. Errors: none of its own.';

-- source: sql/functions/keyed/next_number.sql
create function pgqueue.next_number(name text)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_value bigint;
begin
  perform pgqueue._check_name('name', name, 500);
  insert into pgqueue.number as n (name, value) values (next_number.name, 1)
  on conflict on constraint number_pkey do update set value = n.value + 1
  returning n.value into v_value;
  return v_value;
end $$;

comment on function pgqueue.next_number is
'The next of the whole numbers 1, 2, 3, … under this name; no two callers get the same. Callers of one name wait for each other''s transactions, so that none is left out. Errors: PQ001.';

-- source: sql/functions/flow/cancel_jobs.sql
-- The bulk functions have one shape. Select a batch; do to all plain jobs at once what the function for one job does to one; then, one by one and each as if alone, the others. Nothing waits
-- for long: see _withdraw_many and _try_on.
create function pgqueue.cancel_jobs(filter jsonb, max integer default 1000, after bigint default 0, why text default null)
returns table (done bigint, skipped bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['held', 'scheduled', 'queued', 'running'];
  v_batch record;
  v_place text;
  v_forget smallint;
  v_jobs bigint[];
  v_attempts smallint[];
  v_traits integer[];
  v_plain bigint[] := array[]::bigint[];
  v_locked bigint[];
  v_rest record;
begin
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'cancelled', v_states), v_states, cancel_jobs.max, after);
  for v_place, v_forget, v_jobs, v_attempts, v_traits in
    select w.place, w.forget, array_agg(w.job_id order by w.job_id), array_agg(w.attempt order by w.job_id), array_agg(w.traits order by w.job_id)
    from (
      select case when w.place = 'locked' then 'locked' else 'taken' end as place, w.job_id, w.attempt, w.traits,
        pgqueue._forget((select q.history from pgqueue.queue q where q.name = w.queue)) as forget
      from pgqueue._withdraw_many(v_batch.ids, 1920) w) w
    group by w.place, w.forget
  loop
    if v_place = 'locked' then
      v_locked := v_locked || v_jobs;
    else
      v_plain := v_plain || v_jobs;
      perform pgqueue._finish(v_jobs, array_fill('cancelled'::text, array[cardinality(v_jobs)]), array_fill('cancelled_by_user'::text, array[cardinality(v_jobs)]), v_attempts, v_traits, null,
        null, null, v_forget);
    end if;
  end loop;
  select * into v_rest
  from pgqueue._try_each(array(select i from unnest(v_batch.ids) i where i not in (select p from unnest(v_plain) p)), v_locked, 'cancel', array[coalesce(to_jsonb(why), 'null')]);
  return query
  select * from pgqueue._bulk_row(v_batch.ids, v_plain, v_rest.done, v_rest.stopped_at, v_batch.last, v_batch.more);
end $$;

comment on function pgqueue.cancel_jobs is
'Cancels jobs that match a filter, as cancel does: those that wait at once, those that run are asked. One batch: at most max of them (1 to 10000), in the order of their ids. While more is true, call again with last as after;
a batch looks at a bounded number of jobs, and may find none with more to come.
filter: an object that names at least one of queue, kind, state (text or array), reason, error_type (of the last failed attempt), group_key, unique_key, priority, args, headers (contained in the job''s), ids (array), before_id,
after_id, created_before, created_after, finished_before, finished_after; all of them have to match. done: how many were cancelled or asked. skipped: matched, but moved meanwhile, were asked before, or are locked by
another session. Errors: PQ001.';

-- source: sql/functions/flow/children.sql
create function pgqueue.children(id bigint, after bigint default 0, max integer default 1000)
returns setof pgqueue.child_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_page(after, max);
  perform pgqueue._state(children.id, true);
  return query
  select j.id, j.kind, coalesce(o.state::text, w.state, 'running')
  from (
    select d.child_id from pgqueue.dependency d
    where d.parent_id = children.id and d.child_id > children.after order by d.parent_id, d.child_id limit children.max) d
  cross join lateral (select * from pgqueue.job j where j.id = d.child_id offset 0) j
  left join lateral (select o.state, o.job_id from pgqueue.outcome o where o.job_id = j.id offset 0) o on true
  left join lateral pgqueue._waiting(j.id, j.queue, j.priority) w on o.job_id is null
  order by j.id;
end $$;

comment on function pgqueue.children is
'The jobs that wait for this job or have waited for it, by id; for a batch stands a job of the kind rows.gate, with the batch''s id in its args: at most max (1 to 10000) with ids after the given one. Errors: PQ001, PQ002.';

-- source: sql/functions/flow/configure_group.sql
create function pgqueue.configure_group(queue text, group_key text, settings jsonb)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  c_hint constant text := 'Keys: weight, group_limit, rate_limit (whole numbers), rate_period (seconds or interval text); null clears.';
  v_key text;
  v_problem text;
begin
  perform pgqueue._check_name('queue', queue, 200);
  perform pgqueue._check_name('group_key', group_key, 500);
  if settings is null or jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', coalesce(jsonb_typeof(settings), 'null')), c_hint);
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key not in ('weight', 'group_limit', 'rate_limit', 'rate_period') then
      perform pgqueue._refuse('PQ001', format('%L is not a setting of a group', v_key), c_hint);
    end if;
  end loop;
  begin
    perform pgqueue._check_interval('rate_period', pgqueue._interval(settings -> 'rate_period'), true);
    insert into pgqueue.queue (name, updated_at) values (configure_group.queue, pgqueue._now()) on conflict do nothing;
    -- The queue's row first, which guards own_groups.
    perform from pgqueue.queue q where q.name = configure_group.queue for no key update;
    insert into pgqueue.group_setting (queue, group_key, updated_at) values (configure_group.queue, configure_group.group_key, pgqueue._now()) on conflict do nothing;
    update pgqueue.group_setting g set
      weight = case when settings ? 'weight' then (settings ->> 'weight')::integer else g.weight end,
      group_limit = case when settings ? 'group_limit' then (settings ->> 'group_limit')::integer else g.group_limit end,
      rate_limit = case when settings ? 'rate_limit' then (settings ->> 'rate_limit')::integer else g.rate_limit end,
      rate_period = case when settings ? 'rate_period' then pgqueue._interval(settings -> 'rate_period') else g.rate_period end,
      updated_at = pgqueue._now()
    where g.queue = configure_group.queue and g.group_key = configure_group.group_key;
  exception
    when data_exception or check_violation then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, c_hint);
  end;
  delete from pgqueue.group_setting g
  where g.queue = configure_group.queue and g.group_key = configure_group.group_key and num_nonnulls(g.weight, g.group_limit, g.rate_limit, g.rate_period) = 0;
  update pgqueue.queue q set own_groups = exists (select from pgqueue.group_setting g where g.queue = configure_group.queue)
  where q.name = configure_group.queue;
  perform pgqueue._no_longer_counted(queue);
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  select nextval('pgqueue.job_id'), 0, 0, 0, configure_group.queue, configure_group.group_key
  where exists (select from pgqueue.blocked b where b.queue = configure_group.queue and b.group_key = configure_group.group_key);
  perform pgqueue._wake(queue);
  return pgqueue._group_settings(queue, group_key);
end $$;

comment on function pgqueue.configure_group is
'Changes settings of one group of a queue, where they differ from the queue''s, and returns all of them. Keys given are set, null clears, others stay.
weight: jobs of it in a round, where groups take turns (1 to 1000; 1); of an owner of scripts and queries, its share of the turns. group_limit: jobs of it running or about to. rate_limit, rate_period: starts of it in any time of that
length. What is not set is the queue''s. Errors: PQ001.';

-- source: sql/functions/flow/count_jobs.sql
create function pgqueue.count_jobs(filter jsonb, action text, max integer default 10000, after bigint default 0)
returns table (jobs bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := case action
    when 'cancel' then array['held', 'scheduled', 'queued', 'running']
    when 'retry' then array['failed', 'cancelled']
    when 'set_priority' then array['held', 'scheduled', 'queued']
    when 'move' then array['held', 'scheduled', 'queued']
    when 'delete' then array['succeeded', 'failed', 'cancelled'] end;
begin
  if v_states is null then
    perform pgqueue._refuse('PQ001', format('action %s is unknown', coalesce(quote_literal(action), 'null')), 'Actions are cancel, retry, set_priority, move and delete.');
  end if;
  return query
  select cardinality(s.ids)::bigint, s.last, s.more
  from pgqueue._select_jobs(
    pgqueue._read_filter(filter, case action when 'cancel' then 'cancelled' when 'retry' then 'retried' when 'set_priority' then 'given another priority' when 'move' then 'moved' else 'deleted' end, v_states),
    v_states, count_jobs.max, after) s;
end $$;

comment on function pgqueue.count_jobs is
'How many jobs a bulk action would select now: action is cancel, retry, set_priority, move or delete, for the functions cancel_jobs, retry_jobs and so on, with their filter. Counts at most max (1 to 10000) a call; while more is true, call again
with last as after and add. Changes nothing. Errors: PQ001.';

-- source: sql/functions/flow/delete_jobs.sql
-- Deletes what retention would delete one day, and no more: what queries and scripts have of their own expires by itself.
create function pgqueue.delete_jobs(filter jsonb, max integer default 1000, after bigint default 0)
returns table (done bigint, skipped bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['succeeded', 'failed', 'cancelled'];
  v_batch record;
  v_jobs bigint[];
  v_low bigint;
  v_high bigint;
begin
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'deleted', v_states), v_states, delete_jobs.max, after);
  -- The outcome is the lock: whoever retries or edits the job just now keeps it.
  v_jobs := array(
    select o.job_id
    from unnest(v_batch.ids) i
    cross join lateral (select o.job_id from pgqueue.outcome o where o.job_id = i for update skip locked) o);
  if cardinality(v_jobs) > 0 then
    v_low := v_batch.ids[1];
    v_high := v_batch.ids[cardinality(v_batch.ids)];
    delete from pgqueue.attempt_error e where e.job_id between v_low and v_high and e.job_id = any(v_jobs);
    perform pgqueue._forget_traces(v_jobs, v_low, v_high);
    delete from pgqueue.follow_up f where f.job_id = any(v_jobs);
    delete from pgqueue.dependency d
    where d.ctid = any(array(
      select d.ctid
      from (select j.id, j.depends_on from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs) and j.depends_on is not null offset 0) j
      cross join lateral unnest(j.depends_on) p(id)
      cross join lateral (select d.ctid from pgqueue.dependency d where d.parent_id = p.id and d.child_id = j.id offset 0) d));
    delete from pgqueue.outcome o where o.job_id between v_low and v_high and o.job_id = any(v_jobs);
    delete from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs);
  end if;
  return query select * from pgqueue._bulk_row(v_batch.ids, coalesce(v_jobs, '{}'), 0, null, v_batch.last, v_batch.more);
end $$;

comment on function pgqueue.delete_jobs is
'Deletes the history of jobs that are final and match a filter: they are unknown from then on. One batch; filter, max, after and what is returned are those of cancel_jobs. Jobs that wait or run are never deleted: cancel them first; named
by ids they count as skipped. What scripts, queries and batches keep of their own stays until it expires. Errors: PQ001.';

-- source: sql/functions/flow/edit_job.sql
-- The place of a waiting job, and the outcome of one that has ended, are locked first: no claim takes it, and no retry, before the edit is committed.
create function pgqueue.edit_job(id bigint, args jsonb default null, headers jsonb default null)
returns table (state text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_job pgqueue.job;
  v_was jsonb;
  v_kind text;
  v_standing text;
begin
  if num_nonnulls(args, headers) = 0 then
    perform pgqueue._refuse('PQ001', 'neither args nor headers are given', 'Give what is to be changed.');
  end if;
  if jsonb_typeof(args) <> 'object' or jsonb_typeof(headers) <> 'object' then
    perform pgqueue._refuse('PQ001', format('%s is %s, not an object', case when jsonb_typeof(args) <> 'object' then 'args' else 'headers' end,
      case when jsonb_typeof(args) <> 'object' then jsonb_typeof(args) else jsonb_typeof(headers) end), 'Give an object: the whole of it, as it is to be.');
  end if;
  v_kind := (select j.kind from pgqueue.job j where j.id = edit_job.id);
  if v_kind in ('sql.script', 'sql.query', 'rows.slice', 'rows.slow', 'rows.gate', 'keyed.item') then
    perform pgqueue._refuse('PQ005', format('job %s is of kind %s', id, v_kind), 'Only tasks can be edited: cancel it, and hand in a new one.');
  end if;
  for v_look in 1..100 loop
    if pgqueue._hold_place(edit_job.id) is not null then
      state := pgqueue._state(edit_job.id);
    else
      select o.state::text into state from pgqueue.outcome o where o.job_id = edit_job.id and o.state <> 'succeeded' for update;
    end if;
    exit when state is not null;
    v_standing := pgqueue._state(edit_job.id);
    if v_standing in ('running', 'succeeded') then
      perform pgqueue._refuse('PQ005', format('job %s is %s', id, v_standing), 'Only a job that waits, failed or was cancelled can be edited: enqueue a new one.');
    end if;
  end loop;
  if state is null then
    perform pgqueue._refuse('PQ005', format('job %s keeps moving', id), 'Try again.');
  end if;
  select * into v_job from pgqueue.job j where j.id = edit_job.id;
  changed := coalesce(args, v_job.args) is distinct from v_job.args or coalesce(headers, v_job.headers) is distinct from v_job.headers;
  if changed then
    v_was := case when edit_job.args is not null then jsonb_build_object('args', v_job.args) else '{}' end
      || case when edit_job.headers is not null then jsonb_build_object('headers', v_job.headers) else '{}' end;
    update pgqueue.job j set args = coalesce(edit_job.args, j.args), headers = coalesce(edit_job.headers, j.headers) where j.id = edit_job.id;
    perform pgqueue._note_event(edit_job.id, 'edited', v_was);
  end if;
  return next;
end $$;

comment on function pgqueue.edit_job is
'Gives a job that waits, has failed or was cancelled other arguments or headers: whole objects, null leaves what there is. What was there before is kept as an event of the job. It stays where it is, keeps its turn and its unique key, also one that was
made of its arguments. To run a failed one again, retry it. changed: whether they differ. Errors: PQ001, PQ002, PQ005 when it is running or has succeeded, or is no task.';

-- source: sql/functions/flow/failures.sql
-- The error of the last attempt, job by job: each walk is along an index, newest first, and ends after so many.
create function pgqueue.failures(
  queue text default null,
  kind text default null,
  since timestamptz default null,
  max integer default 100)
returns setof pgqueue.failure_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  if failures.max is null or failures.max not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(failures.max::text, 'null')), 'Ask for 1 to 10000 rows.');
  end if;
  return query
  with failed as materialized (
    select o.job_id, o.reason, o.finished_at
    from (
      select o.job_id, o.reason, o.finished_at, o.state from pgqueue.outcome o where o.job_id < 9223372036854775807 and o.state <> 'succeeded' order by o.job_id desc limit 100000) o
    where o.state = 'failed' and (failures.since is null or o.finished_at >= failures.since)),
  error as (
    select f.job_id, f.reason, f.finished_at, j.queue, j.kind, (
      select e.error from pgqueue.attempt_error e where e.job_id = f.job_id order by e.failed_at desc limit 1) as error
    from failed f
    cross join lateral (select j.queue, j.kind from pgqueue.job j where j.id = f.job_id offset 0) j
    where (failures.queue is null or j.queue = failures.queue) and (failures.kind is null or j.kind = failures.kind))
  select e.queue::text, e.kind::text, e.reason, e.error ->> 'type', (array_agg(e.error ->> 'message' order by e.job_id desc))[1], count(*), min(e.finished_at), max(e.finished_at), max(e.job_id)
  from error e
  group by e.queue, e.kind, e.reason, e.error ->> 'type'
  order by max(e.finished_at) desc, max(e.job_id) desc
  limit failures.max;
end $$;

comment on function pgqueue.failures is
'Failed jobs that nobody has retried or deleted, by queue, kind, reason and type of their last error; newest first, at most max rows. message: that of last_job, the newest. since: those that failed from then on. It looks at the newest 100000 jobs by id
that failed or were cancelled, and no further. For the jobs behind a row: retry_jobs and the others with a filter of the same names. Errors: PQ001.';

-- source: sql/functions/flow/group_status.sql
-- Each statement sees every member in one state. Members that were enqueued together are nearly all there is between the first and the last of them: then that range is read, and what is not a member is
-- left out by a hash, which for a million takes four seconds; to look for each in turn takes sixteen.
create function pgqueue.group_status(id bigint)
returns table (total integer, pending integer, succeeded integer, failed integer, cancelled integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_parents bigint[] := pgqueue._parents_of(group_status.id);
begin
  total := coalesce(cardinality(v_parents), 0);
  if v_parents[total] - v_parents[1] < 4 * total then
    select count(*) filter (where m.state is null), count(*) filter (where m.state = 'failed'), count(*) filter (where m.state = 'cancelled') into pending, failed, cancelled
    from (
      select j.id, o.state
      from (select j.id from pgqueue.job j where j.id between v_parents[1] and v_parents[total] offset 0) j
      left join (select o.job_id, o.state from pgqueue.outcome o where o.job_id between v_parents[1] and v_parents[total] offset 0) o on o.job_id = j.id) m
    where m.id in (select p from unnest(v_parents) p);
  else
    select m.live - o.ended, o.failed, o.cancelled into pending, failed, cancelled
    from (select count(*) as live from pgqueue.job j where j.id between v_parents[1] and v_parents[total] and j.id = any(v_parents)) m
    cross join (
      select count(*) as ended, count(*) filter (where o.state = 'failed') as failed, count(*) filter (where o.state = 'cancelled') as cancelled
      from pgqueue.outcome o where o.job_id between v_parents[1] and v_parents[total] and o.job_id = any(v_parents)) o;
  end if;
  select pending + count(*) filter (where b.done_at is null), failed + count(*) filter (where b.status = 'failed'), cancelled + count(*) filter (where b.status = 'aborted')
  into pending, failed, cancelled
  from pgqueue.batch b where b.id = any(v_parents);
  succeeded := total - pending - failed - cancelled;
  return next;
end $$;

comment on function pgqueue.group_status is
'How far the jobs are that a job or a batch waits for, such as the members of a group whose completion job it is: how many, and how many of them have not ended, succeeded, failed, were cancelled.
Those that are forgotten, their queue keeping no history, count as succeeded. Errors: PQ002.';

-- source: sql/functions/flow/move_jobs.sql
-- As cancel_jobs; jobs with a unique key go one by one, as each may meet another that has it.
create function pgqueue.move_jobs(filter jsonb, queue text, max integer default 1000, after bigint default 0)
returns table (done bigint, skipped bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['held', 'scheduled', 'queued'];
  v_batch record;
  v_was record;
  v_plain bigint[] := array[]::bigint[];
  v_locked bigint[] := array[]::bigint[];
  v_there bigint[];
  v_rest record;
begin
  perform pgqueue._check_name('queue', queue, 200);
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'moved', v_states), v_states, move_jobs.max, after);
  v_there := array(
    select i from unnest(v_batch.ids) i
    cross join lateral (select j.queue from pgqueue.job j where j.id = i offset 0) j where j.queue = move_jobs.queue);
  for v_was in
    select case w.place when 'locked' then 'locked' when 'scheduled' then 'scheduled' else 'at hand' end as place, array_agg(w.job_id order by w.job_id) as jobs, array_agg(w.queue order by w.job_id) as queues, array_agg(w.priority order by w.job_id) as priorities,
      array_agg(w.attempt order by w.job_id) as attempts, array_agg(w.traits order by w.job_id) as traits, array_agg(w.run_at order by w.job_id) as due,
      array_fill(move_jobs.queue, array[count(*)::integer]) as news
    from pgqueue._withdraw_many(array(select i from unnest(v_batch.ids) i where i <> all(v_there)), 3969) w
    group by 1
  loop
    if v_was.place = 'locked' then
      v_locked := v_was.jobs;
      continue;
    end if;
    perform pgqueue._to_queue(v_was.jobs, move_jobs.queue, v_was.queues, v_was.traits);
    if v_was.place = 'scheduled' then
      perform pgqueue._schedule(v_was.jobs, v_was.news, v_was.priorities, v_was.attempts, v_was.traits, v_was.due);
    else
      perform pgqueue._enter(v_was.jobs, v_was.news, v_was.priorities, v_was.attempts, v_was.traits, false);
    end if;
    v_plain := v_plain || v_was.jobs::bigint[];
  end loop;
  select * into v_rest
  from pgqueue._try_each(array(select i from unnest(v_batch.ids) i where i not in (select p from unnest(v_plain || v_there) p)), v_locked, 'move', array[to_jsonb(queue)]);
  return query
  select * from pgqueue._bulk_row(v_batch.ids, v_plain, v_rest.done, v_rest.stopped_at, v_batch.last, v_batch.more);
end $$;

comment on function pgqueue.move_jobs is
'Takes waiting jobs that match a filter to another queue, where they get new turns, in the order they are moved; a scheduled job keeps its time, a unique key goes with its job, a group_key counts there. One batch; filter, max,
after and what is returned are those of cancel_jobs. skipped: matched, but are there already, moved meanwhile, would meet a job that has their unique key there, carry rows of a batch, are items of a keyed queue, or are locked by another
session. Errors: PQ001.';

-- source: sql/functions/flow/next_runs.sql
create function pgqueue.next_runs(
  cron text,
  time_zone text default 'UTC',
  n integer default 5,
  after timestamptz default null)
returns setof timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_tick timestamptz := coalesce(after, pgqueue._now());
begin
  perform pgqueue._check_name('cron', translate(cron, E'\t', ' '), 1000);
  perform pgqueue._check_zone(time_zone);
  perform pgqueue._check_time('after', v_tick);
  if n is null or n not between 1 and 1000 then
    perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Give a whole number from 1 to 1000.');
  end if;
  for v_nth in 1 .. n loop
    v_tick := pgqueue._next_tick(cron, time_zone, v_tick, null);
    exit when v_tick is null;
    return next v_tick;
  end loop;
end $$;

comment on function pgqueue.next_runs is
'The next n (1 to 1000) ticks of an expression after a time, null meaning now; nothing is stored. For the expressions see schedule. None: it never comes. Errors: PQ001.';

-- source: sql/functions/flow/parents.sql
create function pgqueue.parents(id bigint, after bigint default 0, max integer default 1000)
returns setof pgqueue.parent_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_parents bigint[] := pgqueue._parents_of(parents.id);
begin
  perform pgqueue._check_page(after, max);
  return query
  select p.id, coalesce(j.kind, case when pgqueue._batch_state(p.id) is not null then 'batch' end), coalesce(o.state::text, w.state, pgqueue._batch_state(p.id), case when j.id is null then 'succeeded' else 'running' end),
    coalesce(o.reason, b.reason), coalesce(o.result, b.result),
    case when o.state <> 'succeeded' then (
      select e.error from pgqueue.attempt_error e where e.job_id = p.id and e.reason <> 'follow_up' order by e.failed_at desc limit 1) else b.error end
  from (select p.id from unnest(v_parents) p(id) where p.id > parents.after order by p.id limit parents.max) p
  left join lateral (select * from pgqueue.job j where j.id = p.id offset 0) j on true
  left join lateral (select * from pgqueue.outcome o where o.job_id = p.id offset 0) o on true
  left join lateral pgqueue._waiting(j.id, j.queue, j.priority) w on o.job_id is null
  left join lateral (
    select r.reason, r.result, r.error from pgqueue.batch b cross join lateral pgqueue._batch_result(b.id) r
    where j.id is null and b.id = p.id and b.done_at is not null offset 0) b on true
  order by p.id;
end $$;

comment on function pgqueue.parents is
'The jobs that a job, or a batch, waits for or has waited for (depends_on), by id, with what became of them: at most max (1 to 10000) with ids after the given one. The kind of a batch or slow query
is batch. One that is forgotten, its queue keeping no history, counted as succeeded: its kind and result are null. Errors: PQ001, PQ002.';

-- source: sql/functions/flow/pause_schedule.sql
create function pgqueue.pause_schedule(name text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update pgqueue.schedule s set paused_at = pgqueue._now(), next_run = null, due_at = null, updated_at = pgqueue._now()
  where s.name = pause_schedule.name and s.paused_at is null;
  if found then
    return true;
  end if;
  if not exists (select from pgqueue.schedule s where s.name = pause_schedule.name) then
    perform pgqueue._unknown_schedule(name);
  end if;
  return false;
end $$;

comment on function pgqueue.pause_schedule is
'Stops a schedule until resume_schedule, through restarts and changes of its declaration. Returns whether that changed anything. Errors: PQ001, PQ002 unknown schedule.';

-- source: sql/functions/flow/resume_schedule.sql
create function pgqueue.resume_schedule(name text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_schedule pgqueue.schedule;
  v_next timestamptz;
begin
  select s.* into v_schedule from pgqueue.schedule s where s.name = resume_schedule.name for update;
  if not found then
    perform pgqueue._unknown_schedule(name);
  end if;
  if v_schedule.paused_at is null then
    return false;
  end if;
  v_next := pgqueue._schedule_after(v_schedule, pgqueue._now());
  update pgqueue.schedule s set paused_at = null, next_run = v_next, due_at = v_next, updated_at = pgqueue._now()
  where s.name = resume_schedule.name;
  return true;
end $$;

comment on function pgqueue.resume_schedule is
'Ends a pause; the next tick from now on is the first, those of the pause were not missed. Returns whether that changed anything. Errors: PQ001, PQ002 unknown schedule.';

-- source: sql/functions/flow/retry_jobs.sql
-- Plain jobs all at once, then the others one by one, each as if alone: a key that is taken meanwhile, or another reason not to run again, is that job's own.
create function pgqueue.retry_jobs(
  filter jsonb,
  max integer default 1000,
  after bigint default 0,
  rate_limit integer default null,
  rate_period interval default '1 second',
  starts_at timestamptz default null)
returns table (done bigint, skipped bigint, last bigint, more boolean, next_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['failed', 'cancelled'];
  v_now timestamptz := pgqueue._now();
  v_start timestamptz := greatest(starts_at, v_now);
  v_batch record;
  v_plain bigint[];
  v_job bigint;
  v_due timestamptz;
  v_outcome boolean;
  v_waits integer := 0;
  v_stopped bigint;
begin
  if rate_limit < 1 then
    perform pgqueue._refuse('PQ001', format('rate_limit is %s', rate_limit), 'Give how many jobs are to run a rate_period, or null for all at once.');
  end if;
  if rate_limit is not null and rate_period is null then
    perform pgqueue._refuse('PQ001', 'rate_period is null', 'Give an interval, such as ''1 second''.');
  end if;
  perform pgqueue._check_interval('rate_period', rate_period, true);
  if starts_at is not null then
    perform pgqueue._check_time('starts_at', starts_at);
  end if;
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'retried', v_states), v_states, retry_jobs.max, after);
  v_plain := pgqueue._retry_plain(v_batch.ids, v_start, rate_limit, rate_period);
  done := cardinality(v_plain);
  for v_job in select i from unnest(v_batch.ids) i where i not in (select p from unnest(v_plain) p) loop
    -- Another retry of it, or an edit, has it just now: passed over.
    perform from pgqueue.outcome o where o.job_id = v_job and o.state <> 'succeeded' for update skip locked;
    continue when not found;
    v_due := v_start + coalesce((extract(epoch from rate_period) * done / rate_limit)::float8, 0) * interval '1 second';
    v_outcome := pgqueue._try_on(v_job, 'retry', case when v_due > v_now then to_jsonb(v_due) else 'null' end);
    if v_outcome then
      done := done + 1;
    elsif v_outcome is null then
      v_waits := v_waits + 1;
      if v_waits >= 40 then
        v_stopped := v_job;
        exit;
      end if;
    end if;
  end loop;
  return query
  select b.done, b.skipped, b.last, b.more,
    case when rate_limit is not null then v_start + (extract(epoch from rate_period) * retry_jobs.done / rate_limit)::float8 * interval '1 second' end
  from pgqueue._bulk_row(v_batch.ids, v_plain, retry_jobs.done - cardinality(v_plain), v_stopped, v_batch.last, v_batch.more) b;
end $$;

comment on function pgqueue.retry_jobs is
'Runs failed and cancelled jobs that match a filter again, as retry does: a redrive. One batch; filter, max, after and what is returned are those of cancel_jobs. skipped: matched, but cannot run again (another live job has the
unique key; scripts, rows of batches, items of keyed queues), or are locked by another session.
rate_limit: so many start a rate_period, spread evenly by their run_at from starts_at on (default now); null: all at once. next_at: where the spread has come to; pass it as starts_at of the next batch.
Errors: PQ001.';

-- source: sql/functions/flow/run_schedule.sql
create function pgqueue.run_schedule(name text)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_schedule pgqueue.schedule;
  v_job bigint;
begin
  select s.* into v_schedule from pgqueue.schedule s where s.name = run_schedule.name for update;
  if not found then
    perform pgqueue._unknown_schedule(name);
  end if;
  v_job := pgqueue._enqueue_tick(v_schedule, v_now);
  update pgqueue.schedule s set last_run = v_now, last_job = v_job where s.name = run_schedule.name;
  return v_job;
end $$;

comment on function pgqueue.run_schedule is
'Enqueues the job of a schedule now, out of turn, paused or not, and returns its id; with a unique_key that is taken, the id of the job that has it. Its tick is now; the ticks to come
stay as they are. Errors: PQ002 unknown schedule, PQ001, PQ005 the key is held and on_duplicate is raise.';

-- source: sql/functions/flow/schedule.sql
create function pgqueue.schedule(
  name text,
  cron text,
  kind text,
  args jsonb default '{}',
  time_zone text default 'UTC',
  queue text default null,
  missed text default 'one',
  priority integer default 0,
  unique_key text default null,
  group_key text default null,
  max_attempts integer default null,
  timeout interval default null,
  expires_in interval default null,
  heartbeat interval default null,
  backoff jsonb default null,
  headers jsonb default null,
  starts_at timestamptz default null,
  ends_at timestamptz default null,
  unique_by text[] default null,
  unique_until text default null,
  unique_for interval default null,
  on_duplicate text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (changed boolean, next_run timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  v_new pgqueue.schedule;
begin
  v_new.name := name;
  v_new.cron := cron;
  v_new.time_zone := time_zone;
  v_new.kind := kind;
  v_new.args := args;
  v_new.queue := queue;
  v_new.missed := missed;
  v_new.priority := priority;
  v_new.unique_key := unique_key;
  v_new.group_key := group_key;
  v_new.max_attempts := max_attempts;
  v_new.timeout := timeout;
  v_new.expires_in := expires_in;
  v_new.heartbeat := heartbeat;
  v_new.backoff := backoff;
  v_new.headers := headers;
  v_new.starts_at := starts_at;
  v_new.ends_at := ends_at;
  v_new.unique_by := unique_by;
  v_new.unique_until := unique_until;
  v_new.unique_for := unique_for;
  v_new.on_duplicate := on_duplicate;
  v_new.on_success := on_success;
  v_new.on_error := on_error;
  return query select p.change <> 'unchanged', p.next_run from pgqueue._put_schedule(pgqueue._check_schedule(v_new)) p;
end $$;

comment on function pgqueue.schedule is
'Creates or replaces a schedule: at each of its ticks upkeep enqueues a job, exactly one however many workers lead or call maintain. Returns whether anything changed, and the next tick.
cron: five fields (minute, hour, day of the month, month, day of the week) with lists, ranges, steps and names, in the time zone; when both days are restricted either matches.
Or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually; or ''every <interval>'', counted from starts_at, else from 1970, whatever the zone.
Where clocks change: fixed times come once, right after the gap or in the first pass; with a star at the start of the minute or hour, each real minute or hour that passes counts.
missed: what becomes of ticks more than a minute late: skip leaves them out, one enqueues one job for all, all enqueues each. starts_at, ends_at: no tick before, none after.
unique_key, unique_by: no further job while one has the key; the tick counts as done, with the holder as its job. on_duplicate raise: it is passed over too, and last_error says so.
The rest is as in enqueue, and queue is default.
kind sql.query and sql.script: a tick hands a query or script in; args are the named arguments of submit_query or submit_script, by default for the owner who makes the schedule; queue (queries,
scripts), priority, on_success and on_error are the schedule''s, and the other options of a job are refused. A job''s headers hold schedule (the name) and tick (the time it was due).
A replaced schedule stays paused if it was, and keeps the tick it owes if its times stay. Errors: PQ001, also for an expression that never comes; nothing is stored then.';

-- source: sql/functions/flow/schedules.sql
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

-- source: sql/functions/flow/set_priority_of_jobs.sql
-- As cancel_jobs.
create function pgqueue.set_priority_of_jobs(filter jsonb, priority integer, max integer default 1000, after bigint default 0)
returns table (done bigint, skipped bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['held', 'scheduled', 'queued'];
  v_batch record;
  v_was record;
  v_plain bigint[] := array[]::bigint[];
  v_locked bigint[] := array[]::bigint[];
  v_same bigint[];
  v_rest record;
begin
  perform pgqueue._check_priority(priority);
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'given another priority', v_states), v_states, set_priority_of_jobs.max, after);
  -- Those that have it keep their turn.
  v_same := array(
    select i from unnest(v_batch.ids) i
    cross join lateral (select j.priority from pgqueue.job j where j.id = i offset 0) j
    where coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = i), j.priority) = set_priority_of_jobs.priority);
  for v_was in
    select w.place, array_agg(w.job_id order by w.job_id) as jobs, array_agg(w.queue order by w.job_id) as queues, array_agg(w.priority order by w.job_id) as priorities,
      array_agg(w.attempt order by w.job_id) as attempts, array_agg(w.traits | 64 order by w.job_id) as traits, array_agg(w.run_at order by w.job_id) as due,
      array_fill(set_priority_of_jobs.priority::smallint, array[count(*)::integer]) as news
    from pgqueue._withdraw_many(array(select i from unnest(v_batch.ids) i where i <> all(v_same)), 1920) w
    group by w.place
  loop
    if v_was.place = 'locked' then
      v_locked := v_was.jobs;
      continue;
    end if;
    insert into pgqueue.changed_priority (job_id, priority) select i, set_priority_of_jobs.priority from unnest(v_was.jobs) i
    on conflict (job_id) do update set priority = excluded.priority;
    if v_was.place = 'scheduled' then
      perform pgqueue._schedule(v_was.jobs, v_was.queues, v_was.news, v_was.attempts, v_was.traits, v_was.due);
    else
      perform pgqueue._enter(v_was.jobs, v_was.queues, v_was.news, v_was.attempts, v_was.traits, v_was.place = 'ready');
    end if;
    perform pgqueue._note_event(e.id, 'priority changed', jsonb_build_object('from', e.priority, 'to', set_priority_of_jobs.priority))
    from unnest(v_was.jobs, v_was.priorities) e(id, priority);
    v_plain := v_plain || v_was.jobs::bigint[];
  end loop;
  select * into v_rest
  from pgqueue._try_each(array(select i from unnest(v_batch.ids) i where i not in (select p from unnest(v_plain || v_same) p)), v_locked, 'set_priority', array[to_jsonb(priority)]);
  return query
  select * from pgqueue._bulk_row(v_batch.ids, v_plain, v_rest.done, v_rest.stopped_at, v_batch.last, v_batch.more);
end $$;

comment on function pgqueue.set_priority_of_jobs is
'Gives waiting jobs that match a filter another priority, as set_priority does: they go to the end of those that have it. One batch; filter, max, after and what is returned are those of cancel_jobs. skipped: matched, but have that
priority already, moved meanwhile, wait for the release of their batch, or are locked by another session. Errors: PQ001.';

-- source: sql/functions/flow/sync_schedules.sql
-- What a program declares becomes what is scheduled. What it declared the last time is kept beside each schedule: as long as that is what it declares now, nothing is
-- touched, so what operators changed at run time stays. Each declaration has its own failure; one that is refused leaves what was there before.
create function pgqueue.sync_schedules(app text, declared jsonb)
returns table (name text, action text, error text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s'
as $$
#variable_conflict use_column
declare
  v_declared jsonb;
  v_new pgqueue.schedule;
  v_old pgqueue.schedule;
  v_names text[] := array[]::text[];
begin
  perform pgqueue._check_name('app', app, 200);
  if declared is null or jsonb_typeof(declared) <> 'array' then
    perform pgqueue._refuse('PQ001', format('declared is %s, not an array', coalesce(jsonb_typeof(declared), 'null')),
      'Give an array of objects, such as [{"name": "report", "cron": "@daily", "kind": "report"}].');
  end if;
  -- By name: two workers that start together take the rows in the same order.
  for v_declared in
    select d from jsonb_array_elements(sync_schedules.declared) with ordinality e(d, nth) order by d ->> 'name', nth
  loop
    name := v_declared ->> 'name';
    error := null;
    begin
      if v_declared ? 'refused' then
        perform pgqueue._refuse('PQ001', v_declared ->> 'refused', 'The program could not make this declaration.');
      elsif name = any(v_names) then
        perform pgqueue._refuse('PQ001', format('schedule %L is declared twice', name), 'Give each its own name.');
      end if;
      select s.* into v_old from pgqueue.schedule s where s.name = v_declared ->> 'name' for update;
      if v_old.declared_by = app and v_old.declared = v_declared then
        action := 'unchanged';
      else
        v_new := pgqueue._declared_schedule(v_declared);
        v_new.declared_by := app;
        v_new.declared := v_declared;
        action := (select p.change from pgqueue._put_schedule(pgqueue._check_schedule(v_new)) p);
      end if;
    exception
      when others then
        action := 'refused';
        get stacked diagnostics error = message_text;
    end;
    v_names := array_remove(v_names || name, null);  -- a null would be equal to no name and unequal to none
    return next;
  end loop;
  for name in
    delete from pgqueue.schedule s where s.declared_by = app and not s.name = any(v_names) returning s.name
  loop
    action := 'removed';
    error := null;
    return next;
  end loop;
end $$;

comment on function pgqueue.sync_schedules is
'For programs that declare schedules, called when they start: adds and changes what is declared, removes what this app declared before and does not any more, and says what it did
with each: added, changed, unchanged, removed or refused, with the error. declared: an array of objects whose keys are the parameters of schedule. What is declared as it was the last
time is left as operators have made it; a pause stays in any case. Schedules of others are never touched. Errors: PQ001 for a bad app, or no array.';

-- source: sql/functions/flow/unblock_group.sql
-- The places of failed jobs go; the group is looked at by the next claim, as whoever has its lock just now may not be waited for.
create function pgqueue.unblock_group(queue text, group_key text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 200);
  perform pgqueue._check_name('group_key', group_key, 500);
  delete from pgqueue.slot s where s.queue = unblock_group.queue and s.group_key = unblock_group.group_key and s.state = 3;
  if not found then
    return false;
  end if;
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  values (nextval('pgqueue.job_id'), 0, 0, 0, unblock_group.queue, unblock_group.group_key);
  perform pgqueue._wake(queue);
  return true;
end $$;

comment on function pgqueue.unblock_group is
'Lets a group go on that a failed job blocks, in a queue whose group_failure is block. The job stays failed; retried later, it waits its turn like any other. Returns whether
anything was blocked. Errors: PQ001.';

-- source: sql/functions/flow/unschedule.sql
create function pgqueue.unschedule(name text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pgqueue._check_name('name', unschedule.name, 200);
  delete from pgqueue.schedule s where s.name = unschedule.name;
  return found;
end $$;

comment on function pgqueue.unschedule is
'Removes a schedule; false when there was none. Jobs it has enqueued stay. One that a program declares comes back when a worker of that program starts: pause it instead. Errors: PQ001.';

-- source: sql/functions/inspect/attempts.sql
create function pgqueue.attempts(id bigint)
returns table (attempt integer, failed_at timestamptz, worker_id bigint, reason text, error jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  perform pgqueue._state(attempts.id);
  return query
  select e.attempt::integer, e.failed_at, e.worker_id, e.reason, e.error
  from pgqueue.attempt_error e where e.job_id = attempts.id order by e.failed_at;
end $$;

comment on function pgqueue.attempts is
'The attempts of a job that went wrong, in order: when, on which worker, and the error with its type, message and traceback. reason: error, timeout or
worker_lost (a crash, which does not spend the attempt). Errors: PQ002.';

-- source: sql/functions/inspect/groups.sql
-- A page of groups, found by steps along the indexes from one key to the next: groups are many, and some are long.
create function pgqueue.groups(queue text, after text default '', max integer default 100)
returns table (
  group_key text,
  waiting bigint,
  running bigint,
  weight integer,
  blocked_by bigint,
  settings jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_key text collate "C" := coalesce(after, '');
begin
  perform pgqueue._check_name('queue', queue, 200);
  if coalesce(max, 0) not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 10000.');
  end if;
  for v_nth in 1..max loop
    v_key := least(
      (select a.group_key from pgqueue.arrival a where a.queue = groups.queue and a.group_key > v_key and a.job_id is not null
        order by a.queue, a.group_key, a.seq limit 1),
      (select b.group_key from pgqueue.blocked b where b.queue = groups.queue and b.group_key > v_key order by b.queue, b.group_key limit 1),
      (select s.group_key from pgqueue.slot s where s.queue = groups.queue and s.group_key > v_key order by s.queue, s.group_key limit 1),
      (select l.owner from pgqueue.line l where l.queue = groups.queue and l.owner > v_key order by l.queue, l.owner limit 1),
      (select t.owner from pgqueue.turn t where t.queue = groups.queue and t.owner > v_key order by t.queue, t.owner limit 1),
      (select g.group_key from pgqueue.group_setting g where g.queue = groups.queue and g.group_key > v_key order by g.queue, g.group_key limit 1));
    exit when v_key is null;
    group_key := v_key;
    select count(*) filter (where p.waits), count(*) filter (where not p.waits) into waiting, running
    from (
      select (select r.place from pgqueue._in_ready(s.job_id) r) is not null
        or (select u.job_id from pgqueue.suspect u where u.job_id = s.job_id) is not null as waits
      from pgqueue.slot s where s.queue = groups.queue and s.group_key = v_key and s.state in (0, 1) offset 0) p;
    waiting := waiting
      + (select count(*) from pgqueue.arrival a where a.queue = groups.queue and a.group_key = v_key and a.job_id is not null)
      + (select count(*) from pgqueue.blocked b where b.queue = groups.queue and b.group_key = v_key)
      + (select count(*) from pgqueue.line l where l.queue = groups.queue and l.owner = v_key);
    running := running + (select count(*) from pgqueue.turn t where t.queue = groups.queue and t.owner = v_key);
    settings := pgqueue._group_settings(groups.queue, v_key);
    weight := coalesce((settings ->> 'weight')::integer, 1);
    blocked_by := (select min(s.job_id) from pgqueue.slot s where s.queue = groups.queue and s.group_key = v_key and s.state = 3);
    return next;
  end loop;
end $$;

comment on function pgqueue.groups is
'The groups of a queue that have jobs or settings, by name: how many of their jobs wait (not for a time) and run, their weight, the failed job that blocks each, if
one does, and settings of their own. Next page: after = last group_key. Errors: PQ001.';

-- source: sql/functions/inspect/health.sql
-- What the server can tell of its own fitness to be a queue. Each row is one question; `fix` says what to do when ok is false.
create function pgqueue.health()
returns table (item text, ok boolean, detail text, fix text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_lost_after interval := (select c.lost_after from pgqueue.config c);
  v_count bigint;
  v_age interval;
  v_last bigint;
begin
  return query select 'server', current_setting('server_version_num')::integer >= 150000, format('PostgreSQL %s', current_setting('server_version')),
    'Use PostgreSQL 15 or newer.';
  return query select 'writable', not pg_is_in_recovery(), case when pg_is_in_recovery() then 'a read-only standby' else 'primary' end,
    'Connect to the primary: add target_session_attrs=read-write to the DSN.';
  return query select 'autovacuum', current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean,
    format('autovacuum %s, track_counts %s', current_setting('autovacuum'), current_setting('track_counts')),
    'Turn autovacuum and track_counts on: without them the hot tables grow for ever.';
  select max(v_now - a.xact_start) into v_age
  from pg_catalog.pg_stat_activity a
  where a.backend_xmin is not null and a.pid <> pg_backend_pid() and a.datname = current_database();
  return query select 'oldest snapshot', coalesce(v_age < interval '1 hour', true),
    case when v_age is null then 'none' else format('a transaction has been open for %s', date_trunc('second', v_age)) end,
    'End it, or set idle_in_transaction_session_timeout: while it lives, nothing dead can be vacuumed. Claims stay fast, tables grow.';
  return query select 'prepared transactions', count(*) = 0, format('%s older than an hour', count(*)),
    'Commit or roll back what pg_prepared_xacts shows.'
  from pg_catalog.pg_prepared_xacts x where x.database = current_database() and x.prepared < v_now - interval '1 hour';
  select count(*) into v_count from pgqueue.worker w where w.heartbeat_at < v_now - v_lost_after;
  return query select 'lost workers', v_count = 0, format('%s without a heartbeat for %s', v_count, v_lost_after),
    'Run upkeep: start a worker or call pgqueue.maintain().';
  select count(*) into v_count from pgqueue.worker w where w.heartbeat_at >= v_now - v_lost_after;
  -- Items of keyed queues may have clients that execute them. The first of a lane stands for all.
  return query select 'workers',
    v_count > 0 or not exists (select from pgqueue.ready) or not exists (
      select from pgqueue.lane l
      cross join lateral (select r.traits from pgqueue.ready r where r.queue = l.queue and r.priority = l.priority order by r.seq limit 1) r
      where r.traits & 1024 = 0),
    format('%s live', v_count), 'Jobs are queued: start a worker.';
  select max(v_now - s.run_at) into v_age from pgqueue.scheduled s where s.run_at < v_now;
  return query select 'promotion', coalesce(v_age < interval '1 minute', true),
    case when v_age is null then 'nothing overdue' else format('a job has been due for %s', date_trunc('second', v_age)) end,
    'Nobody runs upkeep: start a worker, or call pgqueue.maintain() from cron.';
  return query select 'schedules', count(*) = 0,
    case when count(*) = 0 then 'all in time' else format('%s late or failing, such as %s: %s', count(*), min(s.name),
      coalesce((array_agg(s.last_error order by s.name))[1], 'not looked at')) end,
    'See last_error in pgqueue.schedules(), and correct it with schedule(). Without one, nobody runs upkeep: start a worker, or call pgqueue.maintain() from cron.'
  from pgqueue.schedule s where s.last_error is not null or s.due_at < v_now - interval '1 minute';
  return query select 'follow-ups', count(*) = 0,
    case when count(*) = 0 then 'all enqueued' else format('%s could not be enqueued, the last after job %s: %s', count(*), max(l.job_id),
      (array_agg(l.error order by l.made_at desc))[1]) end,
    'See pgqueue.attempts() of that job, and enqueue what it wanted. Such rows go when the history of their job does.'
  from (select * from pgqueue.late_follow_up l where l.error is not null order by l.seq desc limit 1000) l;
  select count(*), count(*) filter (where (select j.id from pgqueue.job j where j.id = s.job_id) is null) into v_count, v_last
  from pgqueue.slot s where s.state = 3;
  return query select 'blocked groups', v_last = 0,
    case when v_count = 0 then 'none' else format('%s by jobs that have failed, of which %s are past their retention', v_count, v_last) end,
    'Nothing can be retried there any more: groups() names the groups, unblock_group() lets them go on.';
  select s.last_value into v_last from pgqueue.job_id s;
  select count(*) into v_count from pgqueue.block b where b.high > v_last;
  return query select 'blocks ahead', v_count > 0, format('%s partitions for ids from %s on', v_count, v_last),
    'Run upkeep; until then new jobs go to the default partition, and work.';
  return query select 'notification queue', pg_notification_queue_usage() < 0.5, format('%s full', round(pg_notification_queue_usage()::numeric, 2)),
    'Some session listens and does not read: find it in pg_stat_activity. Wake-ups stop above one half; workers poll.';
end $$;

comment on function pgqueue.health is
'What the server knows of its fitness to run this queue: one row per question, with what to do where ok is false. The command pgqueue doctor adds the
client''s half.';

-- source: sql/functions/inspect/job.sql
create function pgqueue.job(id bigint)
returns setof pgqueue.job_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  return query select * from pgqueue._job_if_any(job.id);
  if not found then
    perform pgqueue._state(job.id);
  end if;
end $$;

comment on function pgqueue.job is
'Everything about one job: one row. attempt: the attempt that runs or ran last, 0 before the first. error: that of the last failed attempt; see attempts for
all. run_at: when a scheduled job is due. Errors: PQ002.';

-- source: sql/functions/inspect/jobs.sql
-- Pages by job id, newest first. Which rows are walked depends on the state asked for: final ones by the outcome indexes, waiting ones by
-- the places they wait in, so that a rare state among millions of jobs is found without walking them. No index knows the queue or the kind of history, so there the
-- walk ends after a million rows. Sorting is disabled for the walks' sake: with the statistics of an empty table to sort all is as good as an index that gives
-- the order.
create function pgqueue.jobs(
  queue text default null,
  kind text default null,
  state text default null,
  before bigint default null,
  max integer default 50)
returns setof pgqueue.job_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_before bigint := coalesce(before, 9223372036854775807);
  v_far integer := case when num_nonnulls(queue, kind) = 0 then max else 1000000 end;
  v_ids bigint[];
begin
  if jobs.max is null or jobs.max not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(jobs.max::text, 'null')), 'Ask for 1 to 10000 jobs a page.');
  end if;
  if jobs.state not in ('held', 'scheduled', 'queued', 'running', 'succeeded', 'failed', 'cancelled') then
    perform pgqueue._refuse('PQ001', format('state %L is unknown', jobs.state),
      'States are held, scheduled, queued, running, succeeded, failed and cancelled.');
  end if;

  if jobs.state is null then
    v_ids := array(
      select j.id
      from (select j.id, j.queue, j.kind from pgqueue.job j where j.id < v_before order by j.id desc limit v_far) j
      where (jobs.queue is null or j.queue = jobs.queue) and (jobs.kind is null or j.kind = jobs.kind)
      order by j.id desc limit jobs.max);
  elsif jobs.state in ('succeeded', 'failed', 'cancelled') then
    v_ids := pgqueue._page_of_final(jobs.queue, jobs.kind, jobs.state, v_before, v_far, jobs.max);
  else
    v_ids := pgqueue._page_of_live(jobs.queue, jobs.kind, jobs.state, v_before, v_far, jobs.max);
  end if;

  return query
  with held as materialized (
    select l.worker_id, l.claimed_at, e.id, e.attempt
    from pgqueue.lease l cross join unnest(l.job_ids, l.attempts) e(id, attempt)
    where e.id in (select i from unnest(v_ids) i))
  select j.id, j.queue, j.kind, coalesce(o.state::text, w.state, 'running'), o.reason,
    coalesce(w.priority_now, (select p.priority from pgqueue.changed_priority p where p.job_id = j.id), j.priority)::integer,
    coalesce(o.attempt, w.attempt, h.attempt, 0)::integer,
    coalesce(j.max_attempts, (select q.max_attempts from pgqueue.queue q where q.name = j.queue), 5)::integer,
    w.run_at, j.created_at, coalesce(o.claimed_at, h.claimed_at), o.finished_at, coalesce(o.worker_id, h.worker_id), j.unique_key, j.group_key
  from unnest(v_ids) with ordinality i(id, ord)
  cross join lateral (select * from pgqueue.job j where j.id = i.id offset 0) j
  left join lateral (select * from pgqueue.outcome o where o.job_id = i.id offset 0) o on true
  left join lateral pgqueue._waiting(j.id, j.queue, j.priority) w on true
  left join held h on h.id = i.id
  order by i.ord;
end $$;

comment on function pgqueue.jobs is
'Jobs, newest first, at most max of them (1 to 10000), filtered by queue, kind and state where given. For the next page pass the last id as before.
History has no index by queue or kind: these look through the newest million jobs below before, or the newest million in the state asked for, which takes up to a
second or two, and no further. Errors: PQ001.';

-- source: sql/functions/inspect/queues.sql
-- Counts what is there; no counter can drift. Rates are those of the last minute, found by the block range index on finished_at; the jobs of these outcomes are looked up
-- one by one, as a join may take to reading all jobs there are.
create function pgqueue.queues()
returns table (
  queue text,
  paused boolean,
  queued bigint,
  scheduled bigint,
  held bigint,
  running bigint,
  oldest_age interval,
  done_per_minute bigint,
  failed_per_minute bigint,
  settings jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
begin
  return query
  with waiting as (
    select w.queue, count(*) as queued, min(w.job_id) as oldest
    from (
      select r.queue, r.job_id from pgqueue.ready r
      union all select a.queue, a.job_id from pgqueue.arrival a where a.job_id is not null
      union all select s.queue, s.job_id from pgqueue.suspect s
      union all select s.queue, s.job_id from pgqueue.line s) w
    group by w.queue),
  later as (select s.queue, count(*) as scheduled from pgqueue.scheduled s group by s.queue),
  held as (
    select b.queue, count(*) as held
    from (select b.queue from pgqueue.blocked b union all select h.queue from pgqueue.held h union all select d.queue from pgqueue.dependent d) b group by b.queue),
  leased as (select l.queue, sum(cardinality(l.job_ids)) as running from pgqueue.lease l group by l.queue),
  done as (
    select j.queue, count(*) filter (where o.state = 'succeeded') as done, count(*) filter (where o.state = 'failed') as failed
    from pgqueue.outcome o
    cross join lateral (select j.queue from pgqueue.job j where j.id = o.job_id offset 0) j
    where o.finished_at > v_now - interval '1 minute' group by j.queue),
  names as (
    select q.name from pgqueue.queue q
    union select l.queue from pgqueue.lane l
    union select l.queue from later l
    union select h.queue from held h
    union select d.queue from done d)
  select n.name, q.paused_at is not null, coalesce(w.queued, 0), coalesce(l.scheduled, 0), coalesce(h.held, 0), coalesce(r.running, 0)::bigint,
    v_now - (select j.created_at from pgqueue.job j where j.id = w.oldest),
    coalesce(d.done, 0), coalesce(d.failed, 0), pgqueue._queue_settings(n.name)
  from names n
  left join pgqueue.queue q on q.name = n.name
  left join waiting w on w.queue = n.name
  left join later l on l.queue = n.name
  left join held h on h.queue = n.name
  left join leased r on r.queue = n.name
  left join done d on d.queue = n.name
  order by n.name;
end $$;

comment on function pgqueue.queues is
'One row per queue that was ever used or configured: what waits, what runs, the age of the oldest queued job, outcomes of the last minute, settings. Counts
are exact, so with millions of queued jobs this takes a second.';

-- source: sql/functions/inspect/why.sql
-- One sentence, the first reason that holds, in the order in which each would have to be removed. Each cause that needs a look of its own has a private function,
-- which says null where the cause is not there.
create function pgqueue.why(id bigint)
returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_job pgqueue.job_info;
  v_queue pgqueue.queue;
  v_running bigint;
  v_workers bigint;
  v_batch pgqueue.batch;
  v_name text;
begin
  select * into v_batch from pgqueue.batch b where b.id = why.id;
  if v_batch.id is not null then
    return pgqueue._why_batch(v_batch);
  end if;
  select * into v_job from pgqueue.job(why.id);
  v_name := pgqueue._job_name(why.id, v_job.kind, v_job.args);
  select * into v_queue from pgqueue.queue q where q.name = v_job.queue;
  select count(*) into v_workers
  from pgqueue.worker w
  where w.queues @> array[v_job.queue] and w.heartbeat_at >= pgqueue._now() - (select c.lost_after from pgqueue.config c);
  select coalesce(sum(cardinality(l.job_ids)), 0) into v_running from pgqueue.lease l where l.queue = v_job.queue;
  return coalesce(
    pgqueue._why_moved(v_job, v_name),
    case when exists (select from pgqueue.dependent d where d.job_id = why.id) then pgqueue._why_dependent(why.id, v_name) end,
    case when v_queue.paused_at is not null then
      format('Queue %s is paused since %s: call pgqueue.resume_queue(%L).', v_job.queue, to_char(v_queue.paused_at, 'YYYY-MM-DD HH24:MI:SS OF'), v_job.queue) end,
    pgqueue._why_held(v_job, v_queue, v_name),
    case when v_workers = 0 and v_job.kind <> 'keyed.item' then format('No live worker serves queue %s: start one.', v_job.queue) end,
    pgqueue._why_limited(v_job, v_queue, v_running),
    pgqueue._why_apart(v_job, v_name),
    pgqueue._why_behind(v_job, v_name, v_running, v_workers));
end $$;

comment on function pgqueue.why is
'One plain sentence: why this job is not running yet, or what became of it. The id may be that of a batch or slow query. Errors: PQ002.';

-- source: sql/functions/inspect/workers.sql
create function pgqueue.workers()
returns table (
  id bigint,
  name text,
  queues text[],
  concurrency integer,
  info jsonb,
  started_at timestamptz,
  heartbeat_at timestamptz,
  running bigint,
  lost boolean)
language sql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
  select w.id, w.name, w.queues, w.concurrency, w.info, w.started_at, w.heartbeat_at,
    (select coalesce(sum(cardinality(l.job_ids)), 0) from pgqueue.lease l where l.worker_id = w.id)::bigint,
    w.heartbeat_at < pgqueue._now() - (select c.lost_after from pgqueue.config c)
  from pgqueue.worker w order by w.id;
$$;

comment on function pgqueue.workers is
'Registered workers and how many jobs each holds. lost: its heartbeat has run out and the next upkeep gives its jobs to others.';

-- source: sql/functions/insight/job_log.sql
create function pgqueue.job_log(id bigint, after bigint default 0, max integer default 1000)
returns table (line bigint, at timestamptz, attempt integer, level text, message text, fields jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  if job_log.max is null or job_log.max not between 1 and 10000 or job_log.after is null then
    perform pgqueue._refuse('PQ001', format('after is %s, max is %s', coalesce(job_log.after::text, 'null'), coalesce(job_log.max::text, 'null')),
      'Ask for 1 to 10000 lines, after the number of a line or after 0.');
  end if;
  perform pgqueue._state(job_log.id);
  return query
  select l.line::bigint, l.at, l.attempt::integer, l.level, l.message, l.fields
  from pgqueue.job_log l where l.job_id = job_log.id and l.line > job_log.after order by l.line limit job_log.max;
end $$;

comment on function pgqueue.job_log is
'What a job has logged, all its attempts, in the order in which it was stored. after: only lines behind this one, so that a reader who comes again reads on. max: 1 to 10000.
Errors: PQ001, PQ002.';

-- source: sql/functions/insight/job_timeline.sql
-- From the rows there are: nothing is written for the sake of this but what was done to a job from outside (job_event).
create function pgqueue.job_timeline(id bigint)
returns table (at timestamptz, event text, detail text, data jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_job pgqueue.job_info;
  v_kept interval;
begin
  select * into v_job from pgqueue.job(job_timeline.id);
  v_kept := coalesce((select q.retention from pgqueue.queue q where q.name = v_job.queue), (select c.retention from pgqueue.config c));
  return query
  select t.at, t.event, t.detail, jsonb_strip_nulls(t.data)
  from (
    select v_job.created_at as at, 0 as rank, 'enqueued' as event,
      format('%s in queue %s', v_job.kind, v_job.queue) || coalesce(', group ' || v_job.group_key, '') || coalesce(', unique key ' || v_job.unique_key, '') as detail,
      jsonb_build_object('queue', v_job.queue, 'kind', v_job.kind, 'priority', v_job.priority, 'unique_key', v_job.unique_key, 'group_key', v_job.group_key) as data
    union all
    select * from pgqueue._timeline_past(job_timeline.id)
    union all
    select v_job.claimed_at, 20, 'claimed', format('attempt %s of %s by %s', v_job.attempt, v_job.max_attempts,
        case v_job.worker_id when 0 then 'a client' else format('worker %s', v_job.worker_id) end),
      jsonb_build_object('attempt', v_job.attempt, 'max_attempts', v_job.max_attempts, 'worker', v_job.worker_id)
    where v_job.claimed_at is not null
    union all
    select v_job.finished_at, 60, v_job.state, v_job.reason, jsonb_build_object('reason', v_job.reason, 'attempt', v_job.attempt, 'worker', v_job.worker_id)
    where v_job.finished_at is not null
    union all
    select v_job.run_at, 70, 'due', case when v_job.attempt > 0 then format('to try again after attempt %s of %s', v_job.attempt, v_job.max_attempts) end,
      jsonb_build_object('attempt', v_job.attempt)
    where v_job.run_at is not null
    union all
    select v_job.expires_at, 80, 'expires', 'fails then if it has not started', null where v_job.finished_at is null and v_job.attempt = 0 and v_job.claimed_at is null and v_job.expires_at is not null
    union all
    select v_job.finished_at + v_kept, 90, 'retention ends', 'may be forgotten from then on', null where v_job.finished_at is not null) t
  order by t.at, t.rank;
end $$;

comment on function pgqueue.job_timeline is
'The life of one job in order, what is known of it: enqueued, claimed (the last time), failed attempts, what it logged and reported, what was done to it, its end; and what
is to come: when it is due, expires, may be forgotten. event and detail are for people, data for programs. Errors: PQ002.';

-- source: sql/functions/insight/log_lines.sql
-- The lease is looked at and not held, as by job_heartbeat: a settle must not find it locked by what another of its jobs has to say. Lines of a job that is taken away at the
-- same moment were written before that. Calls for one job take turns, for the sake of its numbers; other jobs do not meet.
create function pgqueue.log_lines(lease bigint, job bigint, lines jsonb)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_config record;
  v_attempt smallint;
  v_last record;
  v_room integer;
  v_given integer;
  v_stored integer;
begin
  perform pgqueue._check_log_lines(lines);
  perform pg_advisory_xact_lock(hashtextextended(job::text, pgqueue._lock_class('log')));
  select l.attempts[array_position(l.job_ids, log_lines.job)] into v_attempt
  from pgqueue.lease l where l.id = log_lines.lease and l.job_ids @> array[log_lines.job];
  if not found then
    perform pgqueue._refuse('PQ004', format('lease %s does not hold job %s', coalesce(lease::text, 'null'), coalesce(job::text, 'null')),
      'The job was taken away: stop working on it, and settle nothing.');
  end if;
  select c.job_log_lines as lines, c.job_log_chars as chars into v_config from pgqueue.config c;
  select l.line, l.fields ? 'dropped' and l.level = 'warning' as dropped into v_last from pgqueue.job_log l where l.job_id = log_lines.job order by l.line desc limit 1;
  v_room := greatest(v_config.lines - coalesce(v_last.line, 0), 0);
  v_given := jsonb_array_length(lines);

  insert into pgqueue.job_log (job_id, line, at, attempt, level, message, fields)
  select log_lines.job, coalesce(v_last.line, 0) + e.nth, coalesce((e.line ->> 'at')::timestamptz, pgqueue._now()), v_attempt,
    coalesce(e.line ->> 'level', 'info'), left(e.line ->> 'message', v_config.chars),
    case when length(e.line ->> 'fields') > v_config.chars then jsonb_build_object('cut', left(e.line ->> 'fields', v_config.chars)) else nullif(e.line -> 'fields', 'null') end
  from jsonb_array_elements(lines) with ordinality e(line, nth)
  where e.nth <= v_room;
  get diagnostics v_stored = row_count;
  if v_given > v_room and not coalesce(v_last.dropped, false) then
    insert into pgqueue.job_log (job_id, line, at, attempt, level, message, fields)
    values (log_lines.job, coalesce(v_last.line, 0) + v_stored + 1, pgqueue._now(), v_attempt, 'warning',
      format('more lines were dropped: the log of a job keeps %s', v_config.lines), '{"dropped": true}');
  end if;
  return v_stored;
end $$;

comment on function pgqueue.log_lines is
'Appends to the log of a job that runs: an array of {"message", "level" (info), "at" (now), "fields" (an object)}, of which only message is needed. A job keeps 1,000 lines
of 8,192 characters (see configure: job_log_lines, job_log_chars), over all its attempts; what is longer is cut, and after the last line one says that more were
dropped. Returns how many were stored. Errors: PQ001; PQ004 when the lease does not hold the job: stop working on it.';

-- source: sql/functions/insight/throughput.sql
-- The steps stand where they always stand, counted from the year 2000 in UTC, so that two calls agree on them.
create function pgqueue.throughput(
  queue text default null,
  kind text default null,
  since timestamptz default null,
  until timestamptz default null,
  step interval default '1 minute',
  by_kind boolean default false)
returns setof pgqueue.throughput_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_until timestamptz := coalesce(throughput.until, pgqueue._now());
  v_since timestamptz;
  v_step interval;
begin
  perform pgqueue._check_time('until', v_until);
  v_since := coalesce(throughput.since, v_until - interval '1 hour');
  perform pgqueue._check_time('since', v_since);
  perform pgqueue._check_interval('step', throughput.step, true);
  -- date_bin knows no months: thirty days each, as PostgreSQL counts them.
  v_step := make_interval(secs => extract(epoch from throughput.step)::float8);
  if v_step is null or v_step < interval '1 minute' or extract(epoch from v_step)::numeric % 60 <> 0 then
    perform pgqueue._refuse('PQ001', format('step is %s', coalesce(throughput.step::text, 'null')), 'What has ended is counted by the minute: give a whole number of them.');
  end if;
  if throughput.by_kind is null then
    perform pgqueue._refuse('PQ001', 'by_kind is null', 'Say true for a row for each kind, or false.');
  end if;
  return query
  with part as materialized (
    select date_bin(v_step, m.minute, timestamptz '2000-01-01 00:00+00') as at, m.queue, case when throughput.by_kind or throughput.kind is not null then m.kind end as kind,
      m.succeeded, m.failed, m.cancelled, m.wait_buckets, m.run_buckets, m.wait_max, m.run_max
    from pgqueue.metric m
    where m.minute >= date_trunc('minute', v_since, 'UTC') and m.minute < v_until
      and (throughput.queue is null or m.queue = throughput.queue) and (throughput.kind is null or m.kind = throughput.kind)),
  counted as (
    select p.at, p.queue, p.kind, sum(p.succeeded)::bigint as succeeded, sum(p.failed)::bigint as failed, sum(p.cancelled)::bigint as cancelled,
      max(p.wait_max) as wait_max, max(p.run_max) as run_max
    from part p group by p.at, p.queue, p.kind),
  sums as (
    select p.at, p.queue, p.kind, b.nth, sum(b.waits) as waits, sum(b.runs) as runs
    from part p cross join lateral unnest(p.wait_buckets, p.run_buckets) with ordinality b(waits, runs, nth)
    group by p.at, p.queue, p.kind, b.nth),
  spread as (
    select s.at, s.queue, s.kind, array_agg(coalesce(s.waits, 0)::bigint order by s.nth) as waits, array_agg(coalesce(s.runs, 0)::bigint order by s.nth) as runs
    from sums s group by s.at, s.queue, s.kind)
  select c.at, c.queue, c.kind, c.succeeded, c.failed, c.cancelled,
    pgqueue._percentile(s.waits, 0.5, c.wait_max), pgqueue._percentile(s.waits, 0.95, c.wait_max), c.wait_max,
    pgqueue._percentile(s.runs, 0.5, c.run_max), pgqueue._percentile(s.runs, 0.95, c.run_max), c.run_max
  from counted c
  left join spread s on s.at = c.at and s.queue = c.queue and s.kind is not distinct from c.kind
  order by c.at, c.queue, c.kind;
end $$;

comment on function pgqueue.throughput is
'What has ended and how long it took, by steps of time and queue, and by kind too with by_kind or when a kind is asked for; steps without any have no row. since: an hour ago;
until: now; step: whole minutes. wait: from the enqueue to the claim, of jobs that ended at their first attempt (a delay counts); run: from the claim that ended it to its
outcome. The percentiles come from a distribution by powers of two, interpolated: right to a factor of two, mostly much closer; max is exact. Upkeep counts every ten
seconds or so; jobs of queues without history are not counted. Kept for metric_retention (7 days; see configure). Errors: PQ001.';

-- source: sql/grants.sql
-- Who may call what, as data. Nobody may touch a table or a private function; the audit trail is a view. Each role may do what is in its line and reads what readers read.
do $$
declare
  v_grants constant jsonb := '{
    "producer": ["parents", "children", "group_status", "enqueue", "enqueue_each", "enqueue_many", "result", "watch", "unwatch", "wait", "cancel", "version",
      "submit_script", "script_report", "scripts", "cancel_script",
      "submit_query", "query_status", "query_columns", "query_batch", "cancel_query",
      "batch_submit", "batch_submit_each", "batch_append", "batch_append_each", "batch_release", "batch_status", "batch_rows", "batch_abort", "batch_list",
      "slow_query_submit", "slow_query_status", "slow_query_abort", "output_file",
      "keyed_add", "keyed_get", "keyed_cancel", "keyed_extend", "keyed_result", "keyed_result_by_id", "keyed_state", "keyed_wait", "keyed_list", "keyed_keys", "keyed_pending", "keyed_active", "keyed_stage", "next_number"],
    "worker": ["parents", "children", "group_status", "register_worker", "worker_heartbeat", "deregister_worker", "claim", "settle", "settle_and_claim", "job_heartbeat", "log_lines",
      "worker_sleep", "worker_wake", "try_lead", "stop_leading", "maintain", "next_due", "version", "sync_schedules",
      "script_begin", "script_end", "query_begin", "query_describe", "query_put", "query_end",
      "batch_context", "batch_submit", "batch_submit_each", "batch_append", "batch_append_each", "batch_release", "batch_status", "batch_rows", "batch_abort", "batch_list",
      "slow_query_submit", "slow_query_status", "slow_query_abort", "output_file",
      "submit_script", "script_report", "scripts", "cancel_script", "scripts_running",
      "submit_query", "query_status", "query_columns", "query_batch", "cancel_query",
      "enqueue", "enqueue_each", "enqueue_many", "result", "watch", "unwatch", "wait", "cancel",
      "keyed_add", "keyed_get", "keyed_cancel", "keyed_extend", "keyed_result", "keyed_result_by_id", "keyed_state", "keyed_wait", "keyed_list", "keyed_keys", "keyed_pending", "keyed_active", "keyed_stage", "next_number",
      "keyed_add_and_claim", "keyed_claim", "keyed_claim_next", "keyed_heartbeat", "keyed_merge_extra", "keyed_ack", "keyed_stalled", "keyed_orphaned", "keyed_to_cancel", "keyed_reap"],
    "operator": ["parents", "children", "group_status", "schedule", "unschedule", "pause_schedule", "resume_schedule", "run_schedule", "schedules", "next_runs", "sync_schedules",
      "cancel_jobs", "retry_jobs", "set_priority_of_jobs", "move_jobs", "delete_jobs", "count_jobs", "edit_job", "failures",
      "cancel", "retry", "reschedule", "set_priority", "pause_queue", "resume_queue", "configure_queue", "configure_group", "unblock_group", "groups", "configure", "maintain",
      "enqueue", "enqueue_each", "enqueue_many", "result", "watch", "unwatch", "wait", "next_due",
      "batch_submit", "batch_submit_each", "batch_append", "batch_append_each", "batch_release", "batch_status", "batch_rows", "batch_abort", "batch_list",
      "slow_query_submit", "slow_query_status", "slow_query_abort", "output_file", "batch_purge",
      "keyed_add", "keyed_get", "keyed_cancel", "keyed_extend", "keyed_result", "keyed_result_by_id", "keyed_state", "keyed_wait", "keyed_list", "keyed_keys", "keyed_pending", "keyed_active", "keyed_stage", "next_number",
      "keyed_add_and_claim", "keyed_claim", "keyed_claim_next", "keyed_heartbeat", "keyed_merge_extra", "keyed_ack", "keyed_stalled", "keyed_orphaned", "keyed_to_cancel", "keyed_reap", "keyed_truncate",
      "submit_script", "script_report", "scripts", "cancel_script", "scripts_running", "configure_owner",
      "submit_query", "query_status", "query_columns", "query_batch", "cancel_query",
      "job", "jobs", "attempts", "job_log", "job_timeline", "throughput", "queues", "workers", "why", "health", "version"],
    "reader": ["count_jobs", "failures", "parents", "children", "group_status", "schedules", "next_runs", "batch_status", "batch_rows", "batch_list", "slow_query_status", "output_file", "script_report", "scripts", "scripts_running", "query_status", "query_columns", "query_batch",
      "job", "jobs", "attempts", "job_log", "job_timeline", "throughput", "queues", "groups", "workers", "why", "health", "result", "version", "next_due",
      "keyed_keys", "keyed_pending", "keyed_active", "keyed_stalled", "keyed_orphaned", "keyed_to_cancel", "keyed_stage", "keyed_state"]}';
  v_routine regprocedure;
  v_role text;
  v_name text;
begin
  for v_routine in
    select p.oid::regprocedure from pg_catalog.pg_proc p where p.pronamespace = 'pgqueue'::regnamespace
  loop
    execute format('revoke all on routine %s from public', v_routine);
  end loop;
  for v_role, v_name in select e.key, f.name from jsonb_each(v_grants) e, jsonb_array_elements_text(e.value) f(name) loop
    if to_regrole('pgqueue_' || v_role) is not null then
      execute format('grant usage on schema pgqueue to %I', 'pgqueue_' || v_role);
      select p.oid::regprocedure into strict v_routine
      from pg_catalog.pg_proc p where p.pronamespace = 'pgqueue'::regnamespace and p.proname = v_name;
      execute format('grant execute on routine %s to %I', v_routine, 'pgqueue_' || v_role);
    end if;
  end loop;
  -- The one thing to read that is not a function.
  foreach v_role in array array['pgqueue_operator', 'pgqueue_reader'] loop
    if to_regrole(v_role) is not null then
      execute format('grant select on pgqueue.query_log to %I', v_role);
    end if;
  end loop;
end $$;

-- source: sql/seed.sql
-- The first blocks, so that a queue that nobody maintains yet is partitioned too.
select pgqueue._duty_blocks();

-- Long SQL in the background leaves the server room for others. An operator changes it with configure_queue.
select pgqueue.configure_queue('scripts', '{"max_running": 4}');

set local check_function_bodies = on;
