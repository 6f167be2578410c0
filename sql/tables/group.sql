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
  group_key text collate "C" not null);
create index blocked_turn on pgqueue.blocked (queue, group_key, priority desc, seq);

create table pgqueue.slot (
  job_id bigint primary key,
  queue text collate "C" not null,
  group_key text collate "C" not null);
create index slot_group on pgqueue.slot (queue, group_key);

comment on table pgqueue.arrival is 'Jobs with a group that no claim has looked at yet.';
comment on table pgqueue.blocked is 'Jobs that wait for a slot of their group.';
comment on table pgqueue.slot is 'One row per admitted job of a group: ready or running.';
