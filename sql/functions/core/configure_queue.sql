create function pgqueue.configure_queue(queue text, settings jsonb)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_hint constant text := 'Keys: max_running, group_limit, max_attempts, rate_limit, group_rate_limit, max_queued (whole numbers), timeout, retention, rate_period, '
    'group_rate_period, ageing (seconds or interval text), backoff (object), history (all, failed or none), fair (true or false), group_failure (release or block), '
    'group_order (free or strict), dead_letter_queue (name of another queue); null clears.';
  v_key text;
  v_problem text;
begin
  perform pgqueue._check_name('queue', queue, 200);
  if settings is null or jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', coalesce(jsonb_typeof(settings), 'null')), v_hint);
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key not in ('max_running', 'group_limit', 'max_attempts', 'timeout', 'backoff', 'retention', 'history', 'rate_limit', 'rate_period',
      'group_rate_limit', 'group_rate_period', 'fair', 'group_failure', 'group_order', 'max_queued', 'ageing', 'dead_letter_queue') then
      perform pgqueue._refuse('PQ001', format('%L is not a setting of a queue', v_key), v_hint);
    end if;
  end loop;
  perform pgqueue._check_backoff(nullif(settings -> 'backoff', 'null'));
  if nullif(settings -> 'dead_letter_queue', 'null') is not null then
    if jsonb_typeof(settings -> 'dead_letter_queue') <> 'string' then
      perform pgqueue._refuse('PQ001', format('dead_letter_queue is %s, not text', jsonb_typeof(settings -> 'dead_letter_queue')), 'Give the name of a queue as a string.');
    end if;
    perform pgqueue._check_name('dead_letter_queue', settings ->> 'dead_letter_queue', 200);
    if settings ->> 'dead_letter_queue' = queue then
      perform pgqueue._refuse('PQ001', format('queue %L would be its own dead letter queue', queue), 'Name another queue: what fails there would come back for ever.');
    end if;
  end if;

  begin
    perform pgqueue._check_interval('timeout', pgqueue._interval(settings -> 'timeout'), true);
    perform pgqueue._check_interval('retention', pgqueue._interval(settings -> 'retention'), false);
    perform pgqueue._check_interval(k, pgqueue._interval(settings -> k), true) from unnest(array['rate_period', 'group_rate_period', 'ageing']) k;
    insert into pgqueue.queue (name, updated_at) values (configure_queue.queue, pgqueue._now()) on conflict do nothing;
    update pgqueue.queue q set
      max_running = case when settings ? 'max_running' then (settings ->> 'max_running')::integer else q.max_running end,
      group_limit = case when settings ? 'group_limit' then (settings ->> 'group_limit')::integer else q.group_limit end,
      max_attempts = case when settings ? 'max_attempts' then (settings ->> 'max_attempts')::smallint else q.max_attempts end,
      timeout = case when settings ? 'timeout' then pgqueue._interval(settings -> 'timeout') else q.timeout end,
      backoff = case when settings ? 'backoff' then nullif(settings -> 'backoff', 'null') else q.backoff end,
      retention = case when settings ? 'retention' then pgqueue._interval(settings -> 'retention') else q.retention end,
      history = case when settings ? 'history' then settings ->> 'history' else q.history end,
      dead_letter_queue = case when settings ? 'dead_letter_queue' then settings ->> 'dead_letter_queue' else q.dead_letter_queue end,
      rate_limit = case when settings ? 'rate_limit' then (settings ->> 'rate_limit')::integer else q.rate_limit end,
      rate_period = case when settings ? 'rate_period' then pgqueue._interval(settings -> 'rate_period') else q.rate_period end,
      group_rate_limit = case when settings ? 'group_rate_limit' then (settings ->> 'group_rate_limit')::integer else q.group_rate_limit end,
      group_rate_period = case when settings ? 'group_rate_period' then pgqueue._interval(settings -> 'group_rate_period') else q.group_rate_period end,
      fair = case when settings ? 'fair' then nullif(settings -> 'fair', 'null')::boolean else q.fair end,
      group_failure = case when settings ? 'group_failure' then settings ->> 'group_failure' else q.group_failure end,
      group_order = case when settings ? 'group_order' then settings ->> 'group_order' else q.group_order end,
      max_queued = case when settings ? 'max_queued' then (settings ->> 'max_queued')::integer else q.max_queued end,
      ageing = case when settings ? 'ageing' then pgqueue._interval(settings -> 'ageing') else q.ageing end,
      updated_at = pgqueue._now()
    where q.name = configure_queue.queue;
  exception
    when data_exception or check_violation then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, v_hint);
  end;
  if nullif(settings -> 'max_running', 'null') is not null or nullif(settings -> 'rate_limit', 'null') is not null then
    insert into pgqueue.limiter (queue) values (configure_queue.queue) on conflict do nothing;
  end if;
  if settings ->> 'group_failure' = 'release' or settings -> 'group_failure' = 'null' then
    delete from pgqueue.slot s where s.queue = configure_queue.queue and s.state = 3;
  end if;
  if nullif(settings -> 'max_queued', 'null') is not null then
    perform nextval('pgqueue.bounded');
  end if;
  if settings ->> 'group_order' = 'free' or settings -> 'group_order' = 'null' then
    delete from pgqueue.slot s where s.queue = configure_queue.queue and s.state = 2;
  end if;
  if settings ?| array['fair', 'group_rate_limit', 'group_rate_period'] then
    perform pgqueue._no_longer_counted(queue);
  end if;
  if settings ?| array['group_order', 'group_limit', 'group_rate_limit', 'group_rate_period', 'fair', 'group_failure'] then
    -- More room, or no limit any more, frees jobs that nothing else would look at again.
    insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), 0, 0, 0, g.queue, g.group_key
    from (select distinct b.queue, b.group_key from pgqueue.blocked b where b.queue = configure_queue.queue) g;
  end if;
  perform pgqueue._wake(queue);
  return pgqueue._queue_settings(queue);
end $$;

comment on function pgqueue.configure_queue is
'Changes settings of a queue and returns all of them. Keys given are set, null clears, others stay. A queue needs no settings to be used.
max_running: jobs running at once, over all workers.
group_limit: jobs of one group_key ready or running at once. max_attempts (5), timeout, backoff: for jobs that bring none. retention: how long final
jobs are kept. history: all, failed (forget what succeeded) or none. dead_letter_queue: where a copy of every task goes that fails for good, once for each, with headers
{"dead_letter": {"job", "queue", "reason", "error", "attempts", "path"}}; a copy that fails goes on to no queue where it has failed before.
rate_limit, rate_period (1 second): so many starts in any time of that length; group_rate_limit, group_rate_period: the same for each group, up to 10000.
fair: groups take turns, by their weights (configure_group). group_order: free, or strict: a job keeps its group''s place while it waits for a retry. group_failure:
release, or block: a job that has failed keeps its group''s place until it is retried or unblock_group is called. max_queued: enqueue refuses
(PQ008) while more would wait. ageing: who has waited that long is served with the queue''s highest priority. Errors: PQ001.';
