-- Whoever leaves meets whoever joins at the lock of submit_query: so the last one to leave is the last one.
create function pgqueue.cancel_query(id bigint, as_owner text default null, why text default null)
returns table (state text, changed boolean, others integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  perform pgqueue._query_or_refuse(id, as_owner);
  perform pg_advisory_xact_lock(pgqueue._lock_class('query'), hashint8(id));
  changed := false;
  if as_owner is not null then
    update pgqueue.query_caller c set gone = true
    where c.ctid = (
      select c.ctid from pgqueue.query_caller c where c.job_id = cancel_query.id and c.owner = as_owner and not c.gone limit 1 for update skip locked);
    changed := found;
    select count(*) into others from pgqueue.query_caller c where c.job_id = cancel_query.id and not c.gone;
  else
    others := 0;
  end if;
  select s.state into state from pgqueue.query_status(id) s;
  if others = 0 and state not in ('succeeded', 'failed', 'cancelled') then
    -- Its key is given up in there, after what cancel locks: in the other order a cancel beside would wait for this one, and this one for it.
    select c.state, c.changed into state, changed from pgqueue.cancel(id, why) c;
  elsif state in ('succeeded', 'failed', 'cancelled') then
    changed := false;
  end if;
  return next;
end $$;

comment on function pgqueue.cancel_query is
'Takes one caller''s interest in a query back; when others have joined it, it goes on for them (others: how many are left). With the last one gone the query is cancelled: at once when it waits (state cancelled), else the
server is told to stop it (state running, changed true), which a rollback does not undo. A final query stays as it is. as_owner null: cancel for everybody. Errors: PQ002 unknown, or this owner neither asked for nor
shares it.';
