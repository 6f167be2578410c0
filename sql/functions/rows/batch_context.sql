create function pgqueue.batch_context(id bigint)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
as $$
declare
  v_context jsonb;
begin
  select b.context into v_context from pgqueue.batch b where b.id = batch_context.id;
  if not found then
    perform pgqueue._refuse('PQ002', format('batch %s is unknown', coalesce(id::text, 'null')), 'It has been purged.');
  end if;
  return v_context;
end $$;

comment on function pgqueue.batch_context is
'For workers: the context of a batch or slow query, which its jobs do not carry; keep it while you work on the batch. Errors: PQ002.';
