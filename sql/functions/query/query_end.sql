create function pgqueue.query_end(lease bigint, job bigint, command text default null, error jsonb default null, notices jsonb default null)
returns table (verdict text, failure jsonb, result jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
begin
  perform pgqueue._hold_lease(lease, job);
  delete from pgqueue.backend b where b.job_id = query_end.job;  -- waits for a cancel under way
  -- What ended because of a cancel, whoever told the server, has not failed.
  if error = 'null' or error ->> 'sqlstate' = '57014' and exists (select from pgqueue.cancel_request c where c.job_id = query_end.job) then
    error := null;
  end if;
  update pgqueue.query_run r
  set command = query_end.command, error = query_end.error, notices = query_end.notices, ended_at = v_now, updated_at = v_now
  where r.job_id = query_end.job
  returning jsonb_build_object('rows', r.row_count, 'bytes', r.byte_count, 'batches', r.batches, 'command', query_end.command) into result;
  if error is not null then
    verdict := 'discard';
    failure := error;
    result := null;
  elsif exists (select from pgqueue.cancel_request c where c.job_id = query_end.job) then
    verdict := 'cancelled';
    result := null;
  else
    verdict := 'succeeded';
  end if;
  return next;
end $$;

comment on function pgqueue.query_end is
'For workers: how the run of a query ended, after its last chunk. command: the command tag. error: null when it succeeded, else an object with "message" and, if known, "sqlstate". notices: an array of what the server said. Settle the
job with verdict (succeeded, discard or cancelled), result, and failure as its error. Errors: PQ004 the lease does not hold the job: nothing was written.';
