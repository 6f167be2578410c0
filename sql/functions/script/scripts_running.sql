create function pgqueue.scripts_running(queue text default null)
returns table (owner text, ids bigint[])
language sql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
  select t.owner::text, array_agg(t.job_id order by t.job_id)
  from pgqueue.turn t cross join lateral (select from pgqueue.script s where s.job_id = t.job_id and 'running' in (s.status, s.fallback_status) offset 0) s
  where scripts_running.queue is null or t.queue = scripts_running.queue
  group by t.owner order by t.owner;
$$;

comment on function pgqueue.scripts_running is 'The scripts that run right now, by owner.';
