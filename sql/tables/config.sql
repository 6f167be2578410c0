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
