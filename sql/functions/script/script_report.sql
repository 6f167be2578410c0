create function pgqueue.script_report(id bigint, as_owner text default null)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  return pgqueue._script_report(pgqueue._script_or_refuse(id, as_owner, false));
end $$;

comment on function pgqueue.script_report is
'Where a script stands: an object with id, owner, queue, status, created_at, updated_at, started_at, ended_at, failed_reason (of the query that failed), fallback_status and fallback_error (of the script''s own onsuccess or
onerror, which runs once status is final), and queries: each as it was submitted, with status, fallback_status, failed_reason, fallback_error, started_at, ended_at and notices. A key that does not apply is missing.
Statuses: held (of the whole, while it waits for other jobs), queued, running, succeeded, failed, cancelled, skipped. A script is over when ended_at is there. as_owner: refuse what belongs to somebody else. Errors: PQ002.';
