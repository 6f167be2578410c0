create function pgqueue.count_jobs(filter jsonb, action text, max integer default 10000, after bigint default 0)
returns table (jobs bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := case action
    when 'cancel' then array['held', 'scheduled', 'queued', 'running']
    when 'retry' then array['failed', 'cancelled']
    when 'set_priority' then array['held', 'scheduled', 'queued']
    when 'move' then array['held', 'scheduled', 'queued']
    when 'delete' then array['succeeded', 'failed', 'cancelled'] end;
begin
  if v_states is null then
    perform pgqueue._refuse('PQ001', format('action %s is unknown', coalesce(quote_literal(action), 'null')), 'Actions are cancel, retry, set_priority, move and delete.');
  end if;
  return query
  select cardinality(s.ids)::bigint, s.last, s.more
  from pgqueue._select_jobs(
    pgqueue._read_filter(filter, case action when 'cancel' then 'cancelled' when 'retry' then 'retried' when 'set_priority' then 'given another priority' when 'move' then 'moved' else 'deleted' end, v_states),
    v_states, count_jobs.max, after) s;
end $$;

comment on function pgqueue.count_jobs is
'How many jobs a bulk action would select now: action is cancel, retry, set_priority, move or delete, for the functions cancel_jobs, retry_jobs and so on, with their filter. Counts at most max (1 to 10000) a call; while more is true, call again
with last as after and add. Changes nothing. Errors: PQ001.';
