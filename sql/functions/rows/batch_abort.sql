-- The counters' lock makes it once, against workers that hand in rows and other aborts. What is pending is aborted here and now; slices that run are told to stop, and what they still
-- bring is discarded.
create function pgqueue.batch_abort(id bigint, as_owner text default null, why text default null)
returns table (status text, succeeded integer, failed integer, aborted integer, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
begin
  return query select a.* from pgqueue._abort(id, 'batch', as_owner, why) a;
end $$;

comment on function pgqueue.batch_abort is
'Aborts a batch, held or running: rows that are not done are aborted, what runs is told to stop at the next row, late results are discarded; what is done stays, and so do the output files. Returns
the final status and counts; changed false: it was over already. as_owner: refuse what belongs to somebody else. Errors: PQ002.';
