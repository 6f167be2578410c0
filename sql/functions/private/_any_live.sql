-- Whether any job with an id from `low` up to `high` is live. By the indexes of the places where live jobs stand, so that it is quick under a lock.
create function pgqueue._any_live(low bigint, high bigint) returns boolean
language sql
as $$
  select exists (
      select from pgqueue.lane l
      cross join lateral (
        select from pgqueue.ready w where w.queue = l.queue and w.priority = l.priority and w.seq >= low and w.seq < high and w.seq = w.job_id limit 1) w)
    or exists (select from pgqueue.ready w where w.job_id >= low and w.job_id < high and w.seq <> w.job_id)
    or exists (select from pgqueue.scheduled w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.arrival w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.blocked w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.suspect w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.line w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.held w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.dependent w where w.job_id >= low and w.job_id < high)
    or exists (select from pgqueue.lease l cross join unnest(l.job_ids) j(id) where j.id >= low and j.id < high);
$$;
