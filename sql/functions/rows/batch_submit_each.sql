create function pgqueue.batch_submit_each(
  app text,
  op text,
  context jsonb,
  lines integer[],
  inputs jsonb[],
  hold boolean default false,
  owner text default null,
  priority integer default 0,
  slice_size integer default 10,
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
  v_batch pgqueue.batch := pgqueue._new_batch('batch', app, op, context, hold, owner, priority, slice_size, depends_on, on_parent_failure, on_success, on_error);
begin
  if pgqueue._add_rows(v_batch, lines, inputs) = 0 and not hold then
    perform pgqueue._refuse('PQ001', 'the batch has no rows', 'Give some, or hold the batch and append them.');
  end if;
  perform pgqueue._put_gate(v_batch, depends_on, on_parent_failure);
  return v_batch.id;
end $$;

comment on function pgqueue.batch_submit_each is
'batch_submit for many rows: lines and inputs as parallel arrays. A hundred thousand rows are a second. Errors: PQ001, PQ002; PQ008 its queue is full.';
