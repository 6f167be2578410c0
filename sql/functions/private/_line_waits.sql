-- Whether anybody stands in line in a queue. The order names the index: without it the planner may look for one of the queue along any.
create function pgqueue._line_waits(queue text) returns boolean
language sql stable
return (select l.job_id from pgqueue.line l where l.queue = $1 order by l.queue, l.owner, l.priority desc, l.job_id limit 1) is not null;
