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
