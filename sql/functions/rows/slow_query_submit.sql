create function pgqueue.slow_query_submit(
  app text,
  op text,
  context jsonb default '{}',
  input jsonb default '{}',
  owner text default null,
  priority integer default 0,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._new_batch('slow_query', app, op, context, false, owner, priority, 1, depends_on, on_parent_failure, on_success, on_error);
begin
  perform pgqueue._add_rows(v_batch, array[0], array[input]);
  perform pgqueue._put_gate(v_batch, depends_on, on_parent_failure);
  return v_batch.id;
end $$;

comment on function pgqueue.slow_query_submit is
'Hands one input over to the slow-query processor of this application''s operation; returns an id to ask after. op is lower-cased. depends_on, on_parent_failure, on_success, on_error: as in batch_submit; what on_success passes is what the
processor gave. Errors: PQ001, PQ002 for an unknown id in depends_on; PQ008 its queue is full; nothing is stored then.';
