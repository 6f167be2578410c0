-- Why a job that waits for others waits: how many, and what the first of them does.
create function pgqueue._why_dependent(job bigint, name text) returns text
language plpgsql
as $$
declare
  v_wait record;
  v_parent record;
begin
  select d.pending, d.policy, j.depends_on into v_wait from pgqueue.dependent d join pgqueue.job j on j.id = d.job_id where d.job_id = job;
  select p.id, coalesce(o.state::text, pgqueue._state_if_any(p.id), pgqueue._batch_state(p.id), 'running') as state into v_parent
  from unnest(v_wait.depends_on) p(id)
  left join lateral (select o.state from pgqueue.outcome o where o.job_id = p.id offset 0) o on true
  where (o.state is null or v_wait.policy = 'wait' and o.state <> 'succeeded') and (
    (select j.id from pgqueue.job j where j.id = p.id) is not null or pgqueue._batch_state(p.id) in ('held', 'queued', 'running'))
  order by p.id limit 1;
  return format('%s waits for %s%s.', name, case v_wait.pending when 1 then 'another job' else v_wait.pending || ' other jobs' end,
    case
      when v_parent.id is null then ': they have ended, and upkeep has yet to count them: start a worker, or call pgqueue.maintain() from cron'
      when v_parent.state in ('failed', 'cancelled') then format(', such as %s, which is %s: call pgqueue.retry(%s)', v_parent.id, v_parent.state, v_parent.id)
      else format(', such as %s, which is %s', v_parent.id, v_parent.state) end);
end $$;
