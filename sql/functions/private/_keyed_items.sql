-- Items of a queue in the order in which they are claimed, without those that belong to other processes. Each half in that order, as the index has the first: two halves are merged faster than
-- all of them are sorted. Inlined: keep it one plain query.
create function pgqueue._keyed_items(queue text, process_id text) returns setof pgqueue.keyed_item
language sql stable
as $$
  (select i.* from pgqueue.keyed_item i
   where i.queue = $1 and i.lease_id is null and (not i.exclusive or i.process_id = $2)
   order by i.priority desc, i.job_id)
  union all
  (select i.* from pgqueue.keyed_item i
   where i.queue = $1 and i.lease_id is not null and (not i.exclusive or i.process_id = $2)
   order by i.priority desc, i.job_id);
$$;
