-- The length of the window in which starts of a group are counted.
create function pgqueue._group_period(queue text, group_key text) returns interval
language sql stable
return coalesce(
  (select g.rate_period from pgqueue.group_setting g where g.queue = _group_period.queue and g.group_key = _group_period.group_key),
  (select q.group_rate_period from pgqueue.queue q where q.name = _group_period.queue),
  interval '1 second');
