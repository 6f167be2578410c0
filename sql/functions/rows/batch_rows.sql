create function pgqueue.batch_rows(
  id bigint,
  after_line integer default null,
  max integer default 1000,
  after_row integer default null,
  as_owner text default null)
returns table (line integer, row_id integer, status text, done_at timestamptz, result jsonb, messages jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'batch', false);
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  if max is null or max not between 1 and 100000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 100000.');
  end if;
  return query
  select o.line, o.row_id, o.status, o.done_at, coalesce(o.result, 'null'), coalesce(o.messages, '[]')
  from pgqueue.row_outcome o
  where o.batch_id between batch_rows.id and batch_rows.id and o.line >= coalesce(after_line, 0)
    and (o.line > coalesce(after_line, -1) or o.row_id > coalesce(after_row, 2147483647))
  order by o.batch_id, o.line, o.row_id limit max;
end $$;

comment on function pgqueue.batch_rows is
'The rows of a batch that are done, in the order of (line, row id), max (1 to 100,000) of them; next page: after_line and after_row of the last one. Of a batch that runs still, those that are done so far. Errors: PQ001, PQ002.';
