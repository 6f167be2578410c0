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
