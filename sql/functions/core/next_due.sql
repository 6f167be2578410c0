create function pgqueue.next_due()
returns timestamptz
language sql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
  select s.run_at from pgqueue.scheduled s
  where s.run_at >= (select d.floor from pgqueue._due_cursor('due') d) order by s.run_at limit 1;
$$;

comment on function pgqueue.next_due is
'When the next scheduled job is due, null when none is.';
