-- Writes checked jobs into the tables: the general way in, for whatever a job may have. One row per job, in input order: its own id, or that of the live job that holds
-- its unique key. Traits are made here of what the job has, but for those of scripts and queries, which are given.
create function pgqueue._store_jobs(jobs pgqueue.new_job[], now_ timestamptz)
returns table (id bigint, created boolean)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_ids bigint[];
  v_new pgqueue.new_job[];
begin
  jobs := array(
    select (j.id, j.kind, j.args, j.queue, j.priority, j.due, j.unique_key, j.group_key, j.max_attempts, j.timeout, j.expires_at, j.heartbeat, j.backoff,
      j.headers, pgqueue._traits(case when j.unique_until is null then j.unique_key end, j.group_key, j.timeout, j.heartbeat, j.expires_at)
        + case when j.unique_until = 'start' then 2048 else 0 end + (coalesce(j.traits, 0) & 384), j.unique_until, j.unique_for, j.on_duplicate,
      j.depends_on, j.refs, j.on_parent_failure, j.on_success, j.on_error, j.ref)::pgqueue.new_job
    from unnest(jobs) with ordinality j order by j.ordinality);
  select t.jobs, t.ids into jobs, v_ids from pgqueue._take_keys(jobs, now_) t;
  v_new := pgqueue._with_parents(jobs, v_ids, array(select j::pgqueue.new_job from unnest(jobs) j where (j.id in (select i from unnest(v_ids) i)) is true));  -- so that it is a hash, not a join
  insert into pgqueue.job (id, created_at, expires_at, timeout, heartbeat, priority, max_attempts, queue, kind, unique_key, group_key,
    args, backoff, headers, unique_until, depends_on)
  select j.id, now_, j.expires_at, j.timeout, j.heartbeat, j.priority, j.max_attempts, j.queue, j.kind, j.unique_key, j.group_key,
    j.args, j.backoff, j.headers, j.unique_until, j.depends_on
  from unnest(v_new) j;
  insert into pgqueue.deadline (expires_at, job_id)
  select j.expires_at, j.id from unnest(v_new) j where j.expires_at is not null;
  insert into pgqueue.follow_up (job_id, outcome, jobs)
  select j.id, f.outcome, case jsonb_typeof(f.jobs) when 'array' then f.jobs else jsonb_build_array(f.jobs) end
  from unnest(v_new) j cross join lateral (values ('success', j.on_success), ('error', j.on_error)) f(outcome, jobs)
  where j.traits & 8192 <> 0 and f.jobs is not null;
  v_new := pgqueue._hold_new(v_new, now_);
  insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
  select j.due, j.id, j.traits, j.priority, 0, j.queue from unnest(v_new) j where j.due > now_;
  insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
  select j.id, j.id, j.traits, j.priority, 0, j.queue, j.group_key
  from unnest(v_new) j where j.due <= now_ and j.group_key is not null;
  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
  select j.id, j.id, j.traits, j.priority, 0, j.queue
  from unnest(v_new) j where j.due <= now_ and j.group_key is null;
  perform pgqueue._open_lane(l.queue, l.priority, l.grouped)
  from (
    select j.queue, j.priority, bool_or(j.group_key is not null) as grouped
    from unnest(v_new) j where j.due <= now_ group by 1, 2) l;
  perform pgqueue._wake(q.queue) from (select distinct j.queue from unnest(v_new) j where j.due <= now_) q;

  return query
  select i.id, i.id = i.own_id
  from unnest(array(select j.id from unnest(jobs) with ordinality j order by j.ordinality), v_ids) with ordinality i(own_id, id, ord)
  order by i.ord;
end $$;
