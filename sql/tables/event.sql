-- What people did to jobs: edits, moves, retries, changed priorities, with what was there before.
create table pgqueue.job_event (
  job_id bigint not null,
  at timestamptz not null,
  event text not null,
  data jsonb);
create index on pgqueue.job_event (job_id);

comment on table pgqueue.job_event is 'What was done to jobs beside running them.';
