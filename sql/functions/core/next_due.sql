create function pgqueue.next_due()
returns timestamptz
language sql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
  select least(
    (select s.run_at from pgqueue.scheduled s
     where s.run_at >= (select d.floor from pgqueue._due_cursor('due') d) order by s.run_at limit 1),
    (select s.due_at from pgqueue.schedule s
     where s.due_at >= (select d.floor from pgqueue._due_cursor('schedules') d) order by s.due_at limit 1),
    (select pgqueue._now() from pgqueue.parent_look p
     where not p.parked and p.seq >= (select c.floor from pgqueue._cursor('parents', '', 0) c) order by p.seq limit 1));
$$;

comment on function pgqueue.next_due is
'When upkeep is next due for a scheduled job or a schedule, or now when jobs wait to be told that others have ended; null when none is.';
