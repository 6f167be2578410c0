-- The output files of a batch, {name: {"lines", "chars"}}.
create function pgqueue._batch_files(batch bigint) returns jsonb
language sql stable
return coalesce((
  select jsonb_object_agg(f.name, jsonb_build_object('lines', f.lines, 'chars', f.chars)) from pgqueue.batch_file f where f.batch_id = $1), '{}');
