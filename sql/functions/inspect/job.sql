create function pgqueue.job(id bigint)
returns setof pgqueue.job_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  return query select * from pgqueue._job_if_any(job.id);
  if not found then
    perform pgqueue._state(job.id);
  end if;
end $$;

comment on function pgqueue.job is
'Everything about one job: one row. attempt: the attempt that runs or ran last, 0 before the first. error: that of the last failed attempt; see attempts for
all. run_at: when a scheduled job is due. Errors: PQ002.';
