-- The settings of a queue as one object, defaults where it has no own.
create function pgqueue._queue_settings(name text) returns jsonb
language sql stable
as $$
  select jsonb_build_object('max_running', q.max_running, 'group_limit', q.group_limit, 'max_attempts', coalesce(q.max_attempts, 5::smallint),
    'timeout', q.timeout, 'backoff', q.backoff, 'retention', coalesce(q.retention, c.retention), 'history', coalesce(q.history, 'all'),
    'rate_limit', q.rate_limit, 'rate_period', coalesce(q.rate_period, '1 second'), 'group_rate_limit', q.group_rate_limit,
    'group_rate_period', coalesce(q.group_rate_period, '1 second'), 'fair', coalesce(q.fair, false), 'group_failure', coalesce(q.group_failure, 'release'),
    'group_order', coalesce(q.group_order, 'free'), 'max_queued', q.max_queued, 'ageing', q.ageing,
    'dead_letter_queue', q.dead_letter_queue)
  from pgqueue.config c left join pgqueue.queue q on q.name = _queue_settings.name;
$$;
