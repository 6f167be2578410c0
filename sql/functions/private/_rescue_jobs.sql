-- Jobs whose execution was lost go back to their queue, the attempt unspent; those with `blamed` crashes so far have one more, and fail as worker_lost
-- when that makes too many. A pending cancel is fulfilled instead, and a slice of several rows gives them on to slices of one. The caller has taken them out of their lease.
create function pgqueue._rescue_jobs(
  lease pgqueue.lease,
  jobs bigint[],
  attempts smallint[],
  traits integer[],
  blamed smallint) returns void
language plpgsql
as $$
declare
  v_job record;
  v_now timestamptz := pgqueue._now();
  v_limit smallint;
  v_crashes smallint;
  v_traits integer;
  v_key text;
begin
  select c.max_crashes into v_limit from pgqueue.config c;
  for v_job in
    with job as materialized (
      select j.id, j.queue, j.priority from pgqueue.job j
      where j.id between (select min(i) from unnest(jobs) i) and (select max(i) from unnest(jobs) i) and j.id = any(jobs))
    select e.id, e.attempt, coalesce(e.traits, 0) as traits, j.queue,
      coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = e.id), j.priority) as priority,
      coalesce((select c.crashes from pgqueue.crash c where c.job_id = e.id), 0) as crashes,
      (select r.job_id from pgqueue.cancel_request r where r.job_id = e.id) is not null as asked
    from unnest(jobs, attempts, _rescue_jobs.traits) e(id, attempt, traits)
    join job j on j.id = e.id
    order by e.id
  loop
    v_crashes := v_job.crashes + case when v_job.crashes >= blamed then 1 else 0 end;
    if v_crashes > v_job.crashes then
      insert into pgqueue.attempt_error (job_id, failed_at, worker_id, attempt, reason, error)
      values (v_job.id, v_now, (lease).worker_id, v_job.attempt, 'worker_lost',
        jsonb_build_object('type', 'WorkerLost', 'message', format('worker %s was lost while it held this job; crash %s of %s',
          (lease).worker_id, v_crashes, v_limit)));
    end if;
    if v_job.asked then
      perform pgqueue._finish(array[v_job.id], array['cancelled'], array['cancelled_by_user'], array[v_job.attempt], array[v_job.traits], null,
        (lease).worker_id, (lease).claimed_at, (lease).forget);
      delete from pgqueue.cancel_request r where r.job_id = v_job.id;
    elsif v_job.traits & 512 <> 0 and v_crashes > v_job.crashes and pgqueue._split_slice(v_job.id) then
      perform pgqueue._finish(array[v_job.id], array['cancelled'], array['split'], array[v_job.attempt], array[v_job.traits], null,
        (lease).worker_id, (lease).claimed_at, (lease).forget);
    elsif v_crashes >= v_limit then
      perform pgqueue._finish(array[v_job.id], array['failed'], array['worker_lost'], array[v_job.attempt], array[v_job.traits], null,
        (lease).worker_id, (lease).claimed_at, (lease).forget);
    else
      if v_crashes > v_job.crashes then
        insert into pgqueue.crash (job_id, crashes) values (v_job.id, v_crashes)
        on conflict (job_id) do update set crashes = excluded.crashes;
      end if;
      v_traits := case when v_crashes > v_job.crashes then v_job.traits & ~16 else v_job.traits end | case when v_crashes > 0 then 32 else 0 end;
      v_key := case when v_job.traits & 2049 <> 0 then pgqueue._retake_key(v_job.id) end;
      if v_key is null then
        perform pgqueue._enter(array[v_job.id], array[v_job.queue], array[v_job.priority], array[v_job.attempt - 1]::smallint[], array[v_traits], true);
      elsif v_key = 'uncertain' then
        perform pgqueue._schedule(array[v_job.id], array[v_job.queue], array[v_job.priority], array[v_job.attempt - 1]::smallint[], array[v_traits],
          array[v_now + interval '1 second']);
      else
        perform pgqueue._finish(array[v_job.id], array['cancelled'], array[v_key], array[v_job.attempt], array[v_traits], null,
          (lease).worker_id, (lease).claimed_at, (lease).forget);
      end if;
    end if;
  end loop;
end $$;
