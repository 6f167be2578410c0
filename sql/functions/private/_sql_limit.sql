-- How long one query of this owner may run: the owner's own limit, else the queue's, else the installation's.
create function pgqueue._sql_limit(queue text, owner text) returns interval
language sql stable
return coalesce(
  (select o.timeout from pgqueue.owner o where o.name = $2), (select q.timeout from pgqueue.queue q where q.name = $1), (select c.sql_timeout from pgqueue.config c));
