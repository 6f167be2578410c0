create function pgqueue.scripts(
  owner text default null,
  state text default null,
  queue text default null,
  before bigint default null,
  max integer default 50)
returns setof pgqueue.script_line
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_state text := case scripts.state when 'canceled' then 'cancelled' else scripts.state end;
begin
  if v_state not in ('queued', 'running', 'succeeded', 'failed', 'cancelled') then
    perform pgqueue._refuse('PQ001', format('unknown state %L', state), 'States of scripts: queued, running, succeeded, failed, cancelled.');
  end if;
  if max is null or max not between 1 and 1000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 1000.');
  end if;
  return query
  select s.job_id, s.owner::text, s.queue::text, s.status, s.fallback_status, s.failed_reason, s.length,
    (select count(*)::integer from pgqueue.script_query q where q.job_id = s.job_id and q.status in ('succeeded', 'failed', 'cancelled')),
    s.created_at, s.updated_at, s.ended_at
  from pgqueue.script s
  where (scripts.owner is null or s.owner = scripts.owner) and (v_state is null or s.status = v_state) and (scripts.queue is null or s.queue = scripts.queue)
    and s.job_id < coalesce(before, 9223372036854775807)
  order by s.job_id desc limit max;
end $$;

comment on function pgqueue.scripts is
'Scripts, newest first, at most max (1 to 1000) of them; next page: before = the last id. Filters by owner, state (queued, running, succeeded, failed, cancelled) and queue. queries: how many
it has; done: how many of those have ended. Errors: PQ001.';
