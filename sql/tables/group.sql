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
