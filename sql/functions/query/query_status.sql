create function pgqueue.query_status(id bigint, as_owner text default null)
returns setof pgqueue.query_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_query pgqueue.query := pgqueue._query_or_refuse(id, as_owner);
begin
  -- One statement, so one snapshot: the state and what the run says agree.
  return query
  select v_query.job_id, v_query.owner::text, coalesce(r.outcome::text, pgqueue._state_if_any(v_query.job_id), 'running'), r.reason, r.error,
    coalesce(r.row_count, 0), coalesce(r.byte_count, 0), coalesce(r.batches, 0), r.columns, r.command, coalesce(r.run, 0), r.notices,
    v_query.submitted_at, r.started_at, r.ended_at, coalesce(r.updated_at, v_query.submitted_at), r.expires_at
  from (select) one left join pgqueue.query_run r on r.job_id = v_query.job_id;
end $$;

comment on function pgqueue.query_status is
'Where a query stands. state: as of every job, held while it waits for others. reason, error (message, sqlstate, …): why it failed or was cancelled. row_count, byte_count, batches: what can be read already. columns: an array of {"name", "type", "oid"}, once it has
begun. command: the command tag. run: how often it was begun; when that changes the result starts anew. expires_at: until when the result is kept. as_owner: refuse what this owner neither
asked for nor shares. Errors: PQ002.';
