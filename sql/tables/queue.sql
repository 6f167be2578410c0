-- Settings of a queue. A queue needs no row here: without one it has the defaults. Nothing on the enqueue path reads this table.
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
  dead_letter_queue text collate "C" check (length(dead_letter_queue) between 1 and 200 and dead_letter_queue <> name),
  updated_at timestamptz not null);
-- Empty in most installations: a glance tells every failure that there are no dead letters to write.
create index queue_dead on pgqueue.queue (name) where dead_letter_queue is not null;

-- Claims of a queue with max_running meet on this row, and only those. It is apart from `queue` so that an operator's open
-- transaction over the settings stalls no worker.
create table pgqueue.limiter (queue text collate "C" primary key);

-- Which (queue, priority) pairs have ever been used, so that a claim knows where to look without walking dead index entries.
-- No unique constraint: an uncommitted first row must not make another enqueue wait. Doubles are compacted by upkeep.
create table pgqueue.lane (
  queue text collate "C" not null,
  priority smallint not null,
  grouped boolean not null);
create index on pgqueue.lane (queue, priority);

comment on table pgqueue.limiter is 'One row per queue with max_running: where its claims meet.';
comment on table pgqueue.lane is 'Pairs of queue and priority that have been used: where claims look.';
comment on table pgqueue.queue is 'Settings of queues that differ from the defaults; see the function configure_queue.';
