-- The settings of a queue as one object, defaults where it has no own.
create function pgqueue._queue_settings(name text) returns jsonb
language sql stable
as $$
  select jsonb_build_object('max_running', q.max_running, 'group_limit', q.group_limit, 'max_attempts', coalesce(q.max_attempts, 5::smallint),
    'timeout', q.timeout, 'backoff', q.backoff, 'retention', coalesce(q.retention, c.retention), 'history', coalesce(q.history, 'all'),
    'rate_limit', q.rate_limit, 'rate_period', q.rate_period, 'group_rate_limit', q.group_rate_limit,
    'group_rate_period', q.group_rate_period, 'fair', q.fair, 'group_failure', q.group_failure,
    'group_order', q.group_order, 'max_queued', q.max_queued, 'ageing', q.ageing,
    'dead_letter_queue', q.dead_letter_queue)
  from pgqueue.config c left join pgqueue.queue q on q.name = _queue_settings.name;
$$;
