-- How many more jobs of a queue may run; null means no end. Exact because the calling claim holds the queue's limiter, so that the sum over the leases
-- misses none; it is held until the claim's transaction ends, which a worker's does at once.
create function pgqueue._room(queue text, max_running integer) returns integer
language plpgsql
as $$
declare
  v_running bigint;
begin
  if max_running is null then
    return 2147483647;
  end if;
  select coalesce(sum(cardinality(l.job_ids)), 0) into v_running from pgqueue.lease l where l.queue = _room.queue;
  return greatest(max_running - v_running, 0);
end $$;
