-- The part of the final transition that belongs to jobs with follow-ups, which are enqueued here and so exactly once. None can keep its parent from ending: what goes wrong with it is
-- written to the parent's attempts and to late_follow_up, and one that meets an open transaction over its unique key is left to upkeep. `states` null means all succeeded.
create function pgqueue._follow_up(jobs bigint[], states text[], reasons text[], traits integer[], results jsonb[]) returns void
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
set jit = off
as $$
#variable_conflict use_column
declare
  v_job record;
  v_value jsonb;
  v_next jsonb;
begin
  for v_job in
    select e.id, e.state, e.reason, e.result, e.attempt_error, f.jobs, j.kind
    from (
      select e.id, coalesce(e.state, 'succeeded') as state, e.reason, e.result, (
        select a.error from pgqueue.attempt_error a where a.job_id = e.id and a.reason <> 'follow_up' order by a.failed_at desc limit 1) as attempt_error
      from unnest(jobs, states, reasons, traits, results) e(id, state, reason, traits, result) where e.traits & 8192 <> 0) e
    cross join lateral (
      select f.jobs from pgqueue.follow_up f
      where f.job_id = e.id and f.outcome = case e.state when 'succeeded' then 'success' else 'error' end offset 0) f
    cross join lateral (select j.kind from pgqueue.job j where j.id = e.id offset 0) j
    order by e.id
  loop
    v_value := case v_job.state when 'succeeded' then coalesce(v_job.result, 'null')
      else jsonb_build_object('state', v_job.state, 'reason', v_job.reason, 'error', v_job.attempt_error) end;
    for v_next in select n.value from jsonb_array_elements(v_job.jobs) with ordinality n(value, nth) order by n.nth loop
      perform pgqueue._enqueue_follow_up(v_job.id, pgqueue._follow_up_job(v_next, v_job.id, v_job.kind, v_job.state, v_value));
    end loop;
  end loop;
  delete from pgqueue.follow_up f
  where f.job_id = any(array(
    select e.id from unnest(_follow_up.jobs, states, traits) e(id, state, traits) where e.traits & 8192 <> 0 and coalesce(e.state, 'succeeded') = 'succeeded'));
end $$;
