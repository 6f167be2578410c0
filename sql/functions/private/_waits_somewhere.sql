-- Whether a job stands where jobs with unique keys wait. Asked before the leases are looked through: nearly all who hold a key stand in one of these places.
create function pgqueue._waits_somewhere(job bigint) returns boolean
language plpgsql stable
as $$
begin
  return coalesce(
    (select true from pgqueue._in_ready(job)),
    (select true from pgqueue.scheduled w where w.job_id = job),
    (select true from pgqueue.arrival w where w.job_id = job),
    (select true from pgqueue.blocked w where w.job_id = job),
    (select true from pgqueue.suspect w where w.job_id = job),
    false);
end $$;
