-- Items go back to where they wait, or stand there under another priority. By array: a join with one would be planned as one with the whole table.
create function pgqueue._keyed_waits(jobs bigint[], priorities smallint[]) returns void
language plpgsql
as $$
begin
  update pgqueue.keyed_item i
  set lease_id = null, claimed_at = null, heartbeat_at = null, priority = priorities[array_position(jobs, i.job_id)]
  where i.job_id = any(jobs);
end $$;
