-- The output files of a batch: which there are, and how large. Their lines are in row_outcome.
create table pgqueue.batch_file (
  batch_id bigint not null,
  name text collate "C" not null,
  lines bigint not null,
  chars bigint not null,
  primary key (batch_id, name)) with (fillfactor = 50);

comment on table pgqueue.batch_file is 'Output files of batches; their lines are in row_outcome.';
