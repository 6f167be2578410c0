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
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_state text := case scripts.state when 'canceled' then 'cancelled' else scripts.state end;
  v_stored text := case v_state when 'held' then 'queued' else v_state end;
begin
  if v_state not in ('held', 'queued', 'running', 'succeeded', 'failed', 'cancelled') then
    perform pgqueue._refuse('PQ001', format('unknown state %L', state), 'States of scripts: held, queued, running, succeeded, failed, cancelled.');
  end if;
  if max is null or max not between 1 and 1000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 1000.');
  end if;
  -- Two statements, since one that allows for both would be planned for the worse.
  if owner is null then
    return query
    select p.*
    from (select s from pgqueue.script s where s.job_id < coalesce(before, 9223372036854775807) order by s.job_id desc) l(s)
    cross join lateral pgqueue._script_line(l.s) p
    where (v_state is null or (l.s).status = v_stored and p.status = v_state) and (scripts.queue is null or (l.s).queue = scripts.queue)
    limit max;
  else
    return query
    select p.*
    from (
      select s from pgqueue.script s
      where s.owner between scripts.owner and scripts.owner and s.job_id < coalesce(before, 9223372036854775807) order by s.owner desc, s.job_id desc) l(s)
    cross join lateral pgqueue._script_line(l.s) p
    where (v_state is null or (l.s).status = v_stored and p.status = v_state) and (scripts.queue is null or (l.s).queue = scripts.queue)
    limit max;
  end if;
end $$;

comment on function pgqueue.scripts is
'Scripts, newest first, at most max (1 to 1000) of them; next page: before = the last id. Filters by owner, state (held, queued, running, succeeded, failed, cancelled) and queue. queries: how many
it has; done: how many of those have ended. Errors: PQ001.';
