create function pgqueue.batch_status(id bigint, as_owner text default null)
returns pgqueue.batch_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'batch', false);
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  return pgqueue._batch_info(v_batch);
end $$;

comment on function pgqueue.batch_status is
'Where a batch stands. status: held, queued, running (some of its rows have been done, or are being processed), or final: succeeded, failed (a row has), aborted (a row was). waits_for: what holds one that is held, of release
(see batch_release) and parents (depends_on; see the functions parents and why). try_later: it is not final, ask again. rows, pending,
succeeded, failed, aborted: counts, always of this moment. files: names of the output files with their lines and characters, once it is final. Errors: PQ002.';
