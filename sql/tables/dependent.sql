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
