-- Everything about one job, from one snapshot: where a job stands is where its row is, so the places are read together. No row for an unknown one.
create function pgqueue._job_if_any(job bigint)
returns setof pgqueue.job_info
language sql
as $$
  select j.id, j.queue, j.kind,
    coalesce(o.state::text, w.state, 'running'),
    o.reason,
    coalesce(w.priority_now, p.priority, j.priority)::integer,
    j.args,
    coalesce(o.attempt, w.attempt, l.attempt, 0)::integer,
    coalesce(j.max_attempts, q.max_attempts, 5::smallint)::integer,
    coalesce(c.crashes, 0)::integer,
    w.run_at, j.created_at, coalesce(o.claimed_at, l.claimed_at), o.finished_at,
    coalesce(o.worker_id, l.worker_id),
    j.unique_key, j.group_key, coalesce(j.timeout, q.timeout), j.expires_at, j.heartbeat, j.headers,
    g.progress, r.job_id is not null, o.result,
    (select e.error from pgqueue.attempt_error e where e.job_id = j.id and e.reason <> 'follow_up' order by e.failed_at desc limit 1)
  from pgqueue.job j
  left join pgqueue.outcome o on o.job_id = j.id
  left join lateral pgqueue._waiting(j.id, j.queue, j.priority) w on true
  left join lateral (
    select l.worker_id, l.claimed_at, l.attempts[array_position(l.job_ids, j.id)] as attempt
    from pgqueue.lease l where o.job_id is null and w.state is null and l.job_ids @> array[j.id] limit 1) l on true
  left join pgqueue.queue q on q.name = j.queue
  left join pgqueue.crash c on c.job_id = j.id
  left join pgqueue.changed_priority p on p.job_id = j.id
  left join pgqueue.progress g on g.job_id = j.id
  left join pgqueue.cancel_request r on r.job_id = j.id and o.job_id is null
  where j.id = $1;
$$;
