create function pgqueue.slow_query_status(id bigint, as_owner text default null)
returns table (status text, try_later boolean, result jsonb, messages jsonb, files jsonb, submitted_at timestamptz, done_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'slow_query', false);
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  return query
  select i.status, i.try_later, case when i.status <> 'aborted' then o.result end, case when i.status <> 'aborted' then o.messages end, i.files, i.submitted_at, i.done_at
  from pgqueue._batch_info(v_batch) i
  left join lateral (
    select o.result, o.messages from pgqueue.row_outcome o
    where i.done_at is not null and o.batch_id = i.id and o.line = 0 and o.row_id = 0 offset 0) o on true;
end $$;

comment on function pgqueue.slow_query_status is
'Where a slow query stands: status held (by depends_on), queued, running, succeeded, failed or aborted. try_later: it is not over, ask again. result, messages: what its processor gave; null for an aborted one. files: its output files. The same answer
for as long as it is kept. Errors: PQ002.';
