-- Whether a slice of this batch is leased. Leases are few.
create function pgqueue._batch_runs(batch pgqueue.batch) returns boolean
language sql stable
as $$
  select exists (
    select from (select l.job_ids from pgqueue.lease l where l.queue = (batch).queue offset 0) l
    cross join unnest(l.job_ids) j(id)
    cross join lateral (select from pgqueue.batch_slice s where s.job_id = j.id and s.batch_id = (batch).id offset 0) s);
$$;
