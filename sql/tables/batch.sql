-- Batches of rows, and slow queries, which are batches of one row. The rows travel in the arguments of jobs, a slice of them in each, so that claiming a slice brings its rows;
-- what became of a row is appended to `row_outcome`, in the transaction that settles its slice.
--
-- A batch is held as long as it was asked to be (`hold`), and until the jobs it depends on have ended (`waits`). For these stands its gate: a job of the kind rows.gate in `dependent`, with
-- the trait of a slice and like one in `batch_slice`, that nobody claims. What ends a gate lets the batch go, or aborts it, with the `reason` that stands here.

create table pgqueue.batch (
  id bigint primary key,
  submitted_at timestamptz not null,
  released_at timestamptz,
  done_at timestamptz,
  expires_at timestamptz,
  kind text not null check (kind in ('batch', 'slow_query')),
  status text not null check (status in ('held', 'queued', 'succeeded', 'failed', 'aborted')),
  priority smallint not null,
  slice_size integer not null check (slice_size between 1 and 10000),
  done_job bigint,
  gate bigint,
  hold boolean not null,
  waits boolean not null,
  reason text,
  app text collate "C" not null,
  op text collate "C" not null,
  queue text collate "C" not null,
  owner text collate "C" not null,
  context jsonb not null,
  constraint batch_done check ((status in ('succeeded', 'failed', 'aborted')) = (done_at is not null))) with (fillfactor = 70);
-- Newest first. Not by the id itself: an index that holds it would at times be walked for one batch by a planner that believes the table empty; so it is with the indexes below.
create index batch_app on pgqueue.batch (app, op, (-id));
create index batch_expires on pgqueue.batch (expires_at) where expires_at is not null;

-- How far a batch has come: apart from it, since workers write here and nobody else does while the batch lives, but who aborts it.
create table pgqueue.batch_count (
  batch_id bigint primary key,
  rows integer not null,
  pending integer not null check (pending >= 0),
  succeeded integer not null default 0,
  failed integer not null default 0,
  aborted integer not null default 0,
  constraint batch_count_sum check (pending + succeeded + failed + aborted = rows)) with (fillfactor = 20);

-- Which job carries which rows. Written once; the job that gives rows on to others loses its row here.
create table pgqueue.batch_slice (
  job_id bigint primary key,
  batch_id bigint not null);
create index batch_slice_batch on pgqueue.batch_slice (batch_id);

-- Jobs that wait until their batch is let go.
create table pgqueue.held (
  job_id bigint primary key,
  batch_id bigint not null,
  traits integer not null,
  priority smallint not null,
  attempt smallint not null,
  queue text collate "C" not null);
create index held_batch on pgqueue.held (batch_id);

-- Large batches that upkeep has let go: their slices leave `held` so many a pass. Those up to `after` have.
create table pgqueue.batch_leaving (
  batch_id bigint primary key,
  after bigint not null) with (fillfactor = 50);

create table pgqueue.row_outcome (
  batch_id bigint not null,
  line integer not null,
  row_id integer not null,
  status text not null check (status in ('succeeded', 'failed', 'aborted')),
  done_at timestamptz not null,
  worker_id bigint,
  result jsonb,
  messages jsonb,
  output jsonb,
  primary key (batch_id, line, row_id));

comment on table pgqueue.batch is 'Batches of rows, and slow queries.';
comment on table pgqueue.batch_count is 'How many rows of a batch are pending, and what became of the others.';
comment on table pgqueue.batch_slice is 'The jobs that carry the rows of a batch, and the one it waits with.';
comment on table pgqueue.held is 'Slices of batches that are not let go.';
comment on table pgqueue.batch_leaving is 'Large batches whose slices are being let go.';
comment on table pgqueue.row_outcome is 'What became of each row.';
