-- What `why` says of a job that waits for a place of its group, when that is not simply the group's limit; null otherwise.
create function pgqueue._why_group(job bigint, name text) returns text
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_job pgqueue.blocked;
  v_settings pgqueue.queue;
  v_own pgqueue.group_setting;
  v_holder pgqueue.slot;
  v_limit integer;
  v_period interval;
  v_started bigint;
begin
  select * into v_job from pgqueue.blocked b where b.job_id = job;
  if not found then
    return null;
  end if;
  select * into v_settings from pgqueue.queue q where q.name = v_job.queue;
  select * into v_own from pgqueue.group_setting g where g.queue = v_job.queue and g.group_key = v_job.group_key;
  select * into v_holder from pgqueue.slot s
  where s.queue = v_job.queue and s.group_key = v_job.group_key and s.state in (2, 3) order by s.state desc, s.job_id limit 1;
  if v_holder.state = 3 then
    return format('%s waits for job %s, which has failed and blocks group %s of queue %s: retry that job, or call pgqueue.unblock_group(%L, %L).', name, v_holder.job_id,
      v_job.group_key, v_job.queue, v_job.queue, v_job.group_key);
  elsif v_holder.state = 2 then
    return format('%s waits for job %s, which is to run again first: group %s of queue %s keeps strict order.', name, v_holder.job_id, v_job.group_key, v_job.queue);
  end if;
  v_limit := coalesce(v_own.rate_limit, v_settings.group_rate_limit);
  if v_limit is not null then
    v_period := pgqueue._group_period(v_job.queue, v_job.group_key);
    select coalesce(sum(s.jobs), 0) into v_started from pgqueue.group_start s
    where s.queue = v_job.queue and s.group_key = v_job.group_key and s.started_at > v_now - v_period;
    if v_started + (select count(*) from pgqueue.slot s where s.queue = v_job.queue and s.group_key = v_job.group_key and s.state = 0) >= v_limit then
      return format('%s waits for its turn: group %s of queue %s starts at most %s jobs in %s.', name, v_job.group_key, v_job.queue, v_limit, v_period);
    end if;
  end if;
  v_limit := coalesce(v_own.group_limit, v_settings.group_limit);
  if v_limit <= (select count(*) from pgqueue.slot s where s.queue = v_job.queue and s.group_key = v_job.group_key) then
    return format('%s waits for its turn: group %s of queue %s runs at most %s at a time.', name, v_job.group_key, v_job.queue, v_limit);
  elsif v_settings.fair then
    return format('%s waits for its turn: in queue %s groups take turns, and group %s has others before it.', name, v_job.queue, v_job.group_key);
  end if;
  return null;
end $$;
