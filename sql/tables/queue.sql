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
