-- Decided at once, under the script's lock: whatever its query comes to in this instant, the script is cancelled. The worker ends the query on the server.
create function pgqueue.cancel_script(id bigint, as_owner text default null, why text default null)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_script pgqueue.script;
begin
  -- The place of one that is held before the script: whoever tells it of a parent's end has them in this order, and must not wait.
  perform from pgqueue.dependent d where d.job_id = cancel_script.id for update;
  v_script := pgqueue._script_or_refuse(id, as_owner, true);
  if v_script.part = 4 then
    perform pgqueue._refuse('PQ005', format('Cannot set status from %s to cancelled', v_script.status), 'The script is over; what it has done stays.');
  end if;
  perform pgqueue._stop_script(v_script, 'cancelled', null);
  perform pgqueue.cancel(id, why);
  return pgqueue._script_report(pgqueue._script_or_refuse(id, as_owner, false));
end $$;

comment on function pgqueue.cancel_script is
'Cancels a script and returns its report: the query that runs or is next is cancelled, the rest skipped, no fallback runs; what earlier queries did stays. While the script''s own fallback runs or waits, that is
cancelled and the status stays. The server is told at once to stop what runs, which a rollback does not undo. as_owner: refuse what belongs to somebody else. why: kept with the request, for people. Errors: PQ002,
PQ005 when the script is over.';
