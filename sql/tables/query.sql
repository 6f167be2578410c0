-- Queries. `query` says what was asked and is written once; `query_run` is the worker's; `query_chunk` holds the result. All three outlive the job: the chunks
-- until the result expires, the others, which are the audit trail, for as long as `log_retention` says.

create table pgqueue.query (
  job_id bigint primary key,
  submitted_at timestamptz not null,
  timeout interval,
  ttl interval,
  max_rows bigint,
  max_bytes bigint,
  batch_rows integer,
  read_only boolean not null,
  identity bytea not null,
  queue text collate "C" not null,
  owner text collate "C" not null,
  datasource text,
  role text,
  settings jsonb,
  params jsonb,
  sql text not null);
create index query_identity on pgqueue.query (identity, job_id);

create table pgqueue.query_run (
  job_id bigint primary key,
  run integer not null,
  batches integer not null default 0,
  kept boolean not null default false,
  row_count bigint not null default 0,
  byte_count bigint not null default 0,
  started_at timestamptz,
  updated_at timestamptz not null,
  ended_at timestamptz,
  expires_at timestamptz,
  forget_at timestamptz,
  outcome pgqueue.final_state,
  reason text,
  command text,
  columns jsonb,
  error jsonb,
  notices jsonb) with (fillfactor = 50);
create index query_run_expires on pgqueue.query_run (expires_at) where kept;
create index query_run_forget on pgqueue.query_run (forget_at) where forget_at is not null;

-- The result, in chunks of lines as COPY writes them (text format).
create table pgqueue.query_chunk (
  job_id bigint not null,
  run integer not null,
  n integer not null,
  row_count integer not null,
  data text not null,
  primary key (job_id, run, n));

-- Who asked for a run, one row for each time; those that take their interest back stay as readers.
create table pgqueue.query_caller (
  job_id bigint not null,
  owner text collate "C" not null,
  gone boolean not null default false);
create index on pgqueue.query_caller (job_id, owner);

do $$
begin
  -- Results are text that packs well, and lz4 is quick; a server built without it packs as it always does.
  execute 'alter table pgqueue.query_chunk alter column data set compression lz4';
exception
  when feature_not_supported then null;
end $$;

comment on table pgqueue.query is 'Queries as they were asked for: the audit trail, with query_run.';
comment on table pgqueue.query_run is 'How queries got on and how they ended.';
comment on table pgqueue.query_chunk is 'Results of queries, in chunks.';
comment on table pgqueue.query_caller is 'Who asked for a query that several share.';
