create function pgqueue.batch_append_each(id bigint, lines integer[], inputs jsonb[], hold boolean default true)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'batch', true);
  v_rows integer;
begin
  if v_batch.status <> 'held' or not v_batch.hold or v_batch.reason is not null then
    perform pgqueue._refuse('PQ005', format('batch %s is %s', id, case when v_batch.status <> 'held' then v_batch.status when v_batch.reason is not null then 'being aborted' else 'released' end), 'Rows can be appended while it is held.');
  end if;
  if hold is null then
    perform pgqueue._refuse('PQ001', 'hold is null', 'Give true to append more rows later, else false.');
  end if;
  v_rows := pgqueue._add_rows(v_batch, lines, inputs);
  if not hold then
    perform pgqueue.batch_release(id);
  end if;
  return v_rows;
end $$;

comment on function pgqueue.batch_append_each is
'batch_append for many rows: lines and inputs as parallel arrays. Errors: PQ001, PQ002, PQ005.';
