-- Scripts. The job carries the turns; these rows say how far the script has come.
--
-- `position` and `part` point at what is next, or runs: part 0 the query itself, 1 its onsuccess, 2 its onerror, 3 the onsuccess or onerror of the whole
-- script, 4 nothing any more.

create table pgqueue.script (
  job_id bigint primary key,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  expires_at timestamptz,
  length integer not null check (length >= 1),
  position integer not null default 0,
  part smallint not null default 0 check (part between 0 and 4),
  status text not null default 'queued' check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  fallback_status text check (fallback_status in ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped')),
  queue text collate "C" not null,
  owner text collate "C" not null,
  failed_reason text,
  fallback_error text,
  document jsonb not null,
  -- what is final stays so until the script's own fallback is through as well
  constraint script_ended check (ended_at is null or part = 4)) with (fillfactor = 50, toast_tuple_target = 128);
create index script_owner on pgqueue.script (owner, job_id);
create index script_expires on pgqueue.script (expires_at) where expires_at is not null;

-- One row per query that has begun, or was cancelled before it could.
create table pgqueue.script_query (
  job_id bigint not null,
  position integer not null,
  status text not null check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  fallback_status text check (fallback_status in ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'skipped')),
  started_at timestamptz,
  ended_at timestamptz,
  failed_reason text,
  fallback_error text,
  notices jsonb,
  primary key (job_id, position)) with (fillfactor = 50);

comment on table pgqueue.script is 'Scripts and how far they have come.';
comment on table pgqueue.script_query is 'The queries of scripts that have begun.';
