-- The part of the final transition that belongs to scripts and queries. `states` null means all succeeded. Scripts that their worker brought to an end have their status
-- already; one that was cancelled in line, expired or lost gets it here. So with the audit of queries.
create function pgqueue._sql_jobs_ended(jobs bigint[], states text[], reasons text[], traits integer[]) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_job record;
  v_script pgqueue.script;
begin
  for v_job in
    select e.id, coalesce(e.state, 'succeeded') as state, e.reason, e.traits
    from unnest(jobs, states, reasons, traits) e(id, state, reason, traits) where e.traits & 128 <> 0 order by e.id
  loop
    if v_job.traits & 256 <> 0 then
      select * into v_script from pgqueue.script s where s.job_id = v_job.id for update;
      if v_script.part < 4 then
        perform pgqueue._stop_script(v_script, v_job.state, case v_job.reason
          when 'worker_lost' then 'the worker was lost while the query ran, too often' when 'queue_timeout' then 'did not start in time'
          when 'parent_failed' then 'a job that it waited for failed or was cancelled' end);
      end if;
      update pgqueue.script s
      set ended_at = coalesce(s.ended_at, v_now),
        expires_at = v_now + coalesce((select q.retention from pgqueue.queue q where q.name = s.queue), (select c.retention from pgqueue.config c))
      where s.job_id = v_job.id;
    else
      perform pgqueue._query_ended(v_job.id, v_job.state, v_job.reason);
    end if;
  end loop;
  -- After the scripts: whoever cancels or begins one has it locked before it asks for this.
  delete from pgqueue.backend b where b.job_id = any(jobs);
end $$;
