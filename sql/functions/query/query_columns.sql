create function pgqueue.query_columns(id bigint, as_owner text default null)
returns table ("position" integer, name text, type text, type_oid bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_columns jsonb;
begin
  perform pgqueue._query_or_refuse(id, as_owner);
  select r.columns into v_columns from pgqueue.query_run r where r.job_id = query_columns.id;
  if v_columns is null then
    perform pgqueue._refuse('PQ005', format('the columns of query %s are not known', id), 'They are once it has begun, and never if it failed before.');
  end if;
  return query
  select e.nth::integer, e.value ->> 'name', e.value ->> 'type', (e.value ->> 'oid')::bigint
  from jsonb_array_elements(v_columns) with ordinality e(value, nth) order by e.nth;
end $$;

comment on function pgqueue.query_columns is
'The columns of a query''s result, known from its beginning, rows or no rows; none for a command without a result. Errors: PQ002, PQ005 while they are not known.';
