-- Parameters are written into the text as literals of the types the server has found for them: COPY, which streams best, takes none.
create function pgqueue.query_describe(lease bigint, job bigint, columns jsonb, param_types text[] default null)
returns table (sql text, mode text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_query pgqueue.query;
  v_count integer;
begin
  perform pgqueue._hold_lease(lease, job);
  if columns is null or jsonb_typeof(columns) <> 'array' or exists (
    select from jsonb_array_elements(case jsonb_typeof(columns) when 'array' then columns else '[]' end) c
    where jsonb_typeof(c -> 'name') is distinct from 'string' or jsonb_typeof(c -> 'type') is distinct from 'string' or jsonb_typeof(c -> 'oid') is distinct from 'number')
    or array_position(param_types, null) is not null
  then
    perform pgqueue._refuse('PQ001', 'columns is not an array of columns, or a type is null', 'Give [{"name", "type", "oid"}, …], or [] for a statement without a result.');
  end if;
  select * into v_query from pgqueue.query q where q.job_id = query_describe.job;
  v_count := coalesce(jsonb_array_length(v_query.params), 0);
  if v_count <> coalesce(cardinality(param_types), 0) then
    perform pgqueue._refuse('PQ001', format('the statement takes %s parameters and %s were given', coalesce(cardinality(param_types), 0), v_count),
      'Give one value for each of $1, $2, ….');
  end if;
  update pgqueue.query_run r set columns = query_describe.columns, updated_at = pgqueue._now() where r.job_id = query_describe.job;
  sql := pgqueue._with_literals(v_query.sql, v_query.params, param_types);
  mode := case
    when columns = '[]' then 'command'
    when pgqueue._first_word(v_query.sql) in ('select', 'with', 'values', 'table', 'insert', 'update', 'delete', 'merge') then 'copy'
    else 'rows' end;
  return next;
end $$;

comment on function pgqueue.query_describe is
'For workers: what the server says of the prepared statement. columns: [{"name", "type", "oid"}, …]; param_types: names of the types of $1, $2, …. Returns the text to run, with the parameters written in, and how: copy
(as COPY (…) TO STDOUT), rows (as it is, it has a few rows) or command (no rows). Errors: PQ001 the number of parameters differs; PQ004 the lease does not hold the job.';
