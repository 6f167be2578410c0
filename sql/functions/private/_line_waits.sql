-- Whether anybody stands in line in a queue. The order names the index: without it the planner may look for one of the queue along any. Not a SQL function: with a
-- query in it, that is not inlined but planned at every call, and every settle of a job with a group asks.
create function pgqueue._line_waits(queue text) returns boolean
language plpgsql stable
as $$
begin
  perform from pgqueue.line l where l.queue = _line_waits.queue order by l.queue, l.owner, l.priority desc, l.job_id limit 1;
  return found;
end $$;
