-- These jobs go back in line: what of a script was running there did not end and is to run again.
create function pgqueue._interrupt_scripts(jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_scripts bigint[] := array(
    select i.id from unnest(jobs) i(id)
    cross join lateral (select from pgqueue.script s where s.job_id = i.id and 'running' in (s.status, s.fallback_status) offset 0) s order by 1);
begin
  if cardinality(v_scripts) = 0 then
    return;
  end if;
  update pgqueue.script_query q
  set status = case q.status when 'running' then 'queued' else q.status end,
    started_at = case q.status when 'running' then null else q.started_at end,
    fallback_status = case q.fallback_status when 'running' then 'queued' else q.fallback_status end
  where q.job_id = any(v_scripts) and 'running' in (q.status, q.fallback_status);
  update pgqueue.script s
  set status = case s.status when 'running' then 'queued' else s.status end,
    fallback_status = case s.fallback_status when 'running' then 'queued' else s.fallback_status end, updated_at = pgqueue._now()
  where s.job_id = any(v_scripts);
end $$;
