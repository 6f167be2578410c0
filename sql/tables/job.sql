-- What was asked. Written once; updated, where it stands, only by an operator's edit_job and move_jobs, and for the arguments and headers of a job that waits and is enqueued anew (_replace_job). `unique_until`: null its end, 'start', or 'period'. `depends_on`: the jobs it waited for, for good. Job ids and turns (`ready.seq`) are drawn from one sequence: a job's first turn is its id.
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

-- Blocks: one partition of each of the three per range of ids. The default partitions take what no block covers, so that enqueue
-- never fails for want of one; upkeep keeps blocks ahead and moves strays when it makes the block they belong to.
create table pgqueue.block (
  low bigint primary key,
  high bigint not null check (high > low),
  made_at timestamptz not null,
  look_again_at timestamptz not null);

create table pgqueue.job_default partition of pgqueue.job default;
create table pgqueue.outcome_default partition of pgqueue.outcome default;
create table pgqueue.attempt_error_default partition of pgqueue.attempt_error default;

comment on table pgqueue.job is 'What was asked: one row per job, written once.';
comment on table pgqueue.outcome is 'How it ended: one row per final job, written once.';
comment on table pgqueue.attempt_error is 'Every failed attempt of every job.';
comment on table pgqueue.block is 'The ranges of job ids that have their own partitions of job, outcome and attempt_error.';
