create function pgqueue.slow_query_submit(
  app text,
  op text,
  context jsonb default '{}',
  input jsonb default '{}',
  owner text default null,
  priority integer default 0)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._new_batch('slow_query', app, op, context, false, owner, priority, 1);
begin
  perform pgqueue._add_rows(v_batch, array[0], array[input]);
  return v_batch.id;
end $$;

comment on function pgqueue.slow_query_submit is
'Hands one input over to the slow-query processor of this application''s operation; returns an id to ask after. op is lower-cased. Errors: PQ001; PQ008 its queue is full.';
