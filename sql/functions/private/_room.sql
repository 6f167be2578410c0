-- How many more jobs of a queue may run: null settings mean no end. Exact: claims of a limited queue meet on its limiter row, and lease ids of the queue
-- are drawn under that lock, so the running count is the sum over its leases. Held until the claim's transaction ends, which a worker's does at once.
create function pgqueue._room(queue text, max_running integer) returns integer
language plpgsql
as $$
declare
  v_running bigint;
begin
  if max_running is null then
    return 2147483647;
  end if;
  perform from pgqueue.limiter l where l.queue = _room.queue for no key update;
  select coalesce(sum(cardinality(l.job_ids)), 0) into v_running from pgqueue.lease l where l.queue = _room.queue;
  return greatest(max_running - v_running, 0);
end $$;
