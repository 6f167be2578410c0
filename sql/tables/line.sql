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
