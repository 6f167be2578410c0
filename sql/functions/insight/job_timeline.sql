-- From the rows there are: nothing is written for the sake of this but what was done to a job from outside (job_event).
create function pgqueue.job_timeline(id bigint)
returns table (at timestamptz, event text, detail text, data jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_job pgqueue.job_info;
  v_kept interval;
begin
  select * into v_job from pgqueue.job(job_timeline.id);
  v_kept := coalesce((select q.retention from pgqueue.queue q where q.name = v_job.queue), (select c.retention from pgqueue.config c));
  return query
  select t.at, t.event, t.detail, jsonb_strip_nulls(t.data)
  from (
    select v_job.created_at as at, 0 as rank, 'enqueued' as event,
      format('%s in queue %s', v_job.kind, v_job.queue) || coalesce(', group ' || v_job.group_key, '') || coalesce(', unique key ' || v_job.unique_key, '') as detail,
      jsonb_build_object('queue', v_job.queue, 'kind', v_job.kind, 'priority', v_job.priority, 'unique_key', v_job.unique_key, 'group_key', v_job.group_key) as data
    union all
    select * from pgqueue._timeline_past(job_timeline.id)
    union all
    select v_job.claimed_at, 20, 'claimed', format('attempt %s of %s by %s', v_job.attempt, v_job.max_attempts,
        case v_job.worker_id when 0 then 'a client' else format('worker %s', v_job.worker_id) end),
      jsonb_build_object('attempt', v_job.attempt, 'max_attempts', v_job.max_attempts, 'worker', v_job.worker_id)
    where v_job.claimed_at is not null
    union all
    select v_job.finished_at, 60, v_job.state, v_job.reason, jsonb_build_object('reason', v_job.reason, 'attempt', v_job.attempt, 'worker', v_job.worker_id)
    where v_job.finished_at is not null
    union all
    select v_job.run_at, 70, 'due', case when v_job.attempt > 0 then format('to try again after attempt %s of %s', v_job.attempt, v_job.max_attempts) end,
      jsonb_build_object('attempt', v_job.attempt)
    where v_job.run_at is not null
    union all
    select v_job.expires_at, 80, 'expires', 'fails then if it has not started', null where v_job.finished_at is null and v_job.attempt = 0 and v_job.claimed_at is null and v_job.expires_at is not null
    union all
    select v_job.finished_at + v_kept, 90, 'retention ends', 'may be forgotten from then on', null where v_job.finished_at is not null) t
  order by t.at, t.rank;
end $$;

comment on function pgqueue.job_timeline is
'The life of one job in order, what is known of it: enqueued, claimed (the last time), failed attempts, what it logged and reported, what was done to it, its end; and what
is to come: when it is due, expires, may be forgotten. event and detail are for people, data for programs. Errors: PQ002.';
