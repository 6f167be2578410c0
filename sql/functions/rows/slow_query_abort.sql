create function pgqueue.slow_query_abort(id bigint, as_owner text default null, why text default null)
returns table (status text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  return query select a.status, a.changed from pgqueue._abort(id, 'slow_query', as_owner, why) a;
end $$;

comment on function pgqueue.slow_query_abort is
'Aborts a slow query: it will not run, or is told to stop and what it still brings is discarded. changed false: it was over already. Errors: PQ002.';
