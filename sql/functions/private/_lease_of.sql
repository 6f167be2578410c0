-- The lease that holds a job, if one does. Leases are few, and nothing on the hot path asks.
create function pgqueue._lease_of(job bigint) returns pgqueue.lease
language sql stable
return (select l from pgqueue.lease l where l.job_ids @> array[job] limit 1);
