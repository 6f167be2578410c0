-- Items go back to where they wait, or stand there under another priority.
create function pgqueue._keyed_waits(jobs bigint[], priorities smallint[]) returns void
language plpgsql
as $$
begin
  update pgqueue.keyed_item i
  set lease_id = null, claimed_at = null, heartbeat_at = null, priority = e.priority
  from (select u.id, u.priority from unnest(jobs, priorities) u(id, priority) offset 0) e
  where i.job_id = e.id;
end $$;
