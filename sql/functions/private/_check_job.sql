-- What every way of enqueueing accepts, so that a job is refused for the same reasons one by one and in thousands.
create function pgqueue._check_job(
  kind text,
  args jsonb,
  queue text,
  priority integer,
  run_at timestamptz,
  delay interval,
  unique_key text,
  group_key text,
  max_attempts integer,
  timeout interval,
  expires_in interval,
  heartbeat interval,
  backoff jsonb,
  headers jsonb) returns void
language plpgsql
as $$
begin
  -- The plain case passes in a handful of comparisons; the messages are made only when something is wrong.
  if kind is null or queue is null or length(kind) not between 1 and 200 or length(queue) not between 1 and 200
    or kind ~ '[\x01-\x1f\x7f-\x9f]' or queue ~ '[\x01-\x1f\x7f-\x9f]' then
    perform pgqueue._check_name('kind', kind, 200);
    perform pgqueue._check_name('queue', queue, 200);
  end if;
  if kind in ('sql.query', 'sql.script', 'rows.slice', 'rows.slow', 'rows.gate', 'rows.done', 'keyed.item') then
    perform pgqueue._refuse('PQ001', format('kind is %s', kind), format('Jobs of this kind are made by %s, with what else belongs to them: call that.',
      case kind when 'sql.query' then 'submit_query' when 'sql.script' then 'submit_script' when 'rows.slow' then 'slow_query_submit' when 'keyed.item' then 'keyed_add' else 'batch_submit' end));
  end if;
  if args is null or jsonb_typeof(args) <> 'object' then
    perform pgqueue._refuse('PQ001', format('args is %s, not an object', coalesce(jsonb_typeof(args), 'null')),
      'Give the arguments by name, such as {"user_id": 42}, or {} for none.');
  end if;
  perform pgqueue._check_priority(priority);
  if max_attempts not between 1 and 32767 then
    perform pgqueue._refuse('PQ001', format('max_attempts is %s', max_attempts), 'Give a whole number from 1 to 32767, or null for the queue''s own.');
  end if;
  if run_at is not null then
    if delay is not null then
      perform pgqueue._refuse('PQ001', 'both run_at and delay are given', 'Give one of them.');
    end if;
    perform pgqueue._check_time('run_at', run_at);
  end if;
  if delay is not null then
    perform pgqueue._check_interval('delay', delay, false);
  end if;
  if unique_key is not null then
    perform pgqueue._check_name('unique_key', unique_key, 500);
  end if;
  if group_key is not null then
    perform pgqueue._check_name('group_key', group_key, 500);
  end if;
  if timeout is not null then
    perform pgqueue._check_interval('timeout', timeout, true);
  end if;
  if expires_in is not null then
    perform pgqueue._check_interval('expires_in', expires_in, true);
  end if;
  if heartbeat is not null then
    perform pgqueue._check_interval('heartbeat', heartbeat, true);
  end if;
  if backoff is not null then
    perform pgqueue._check_backoff(backoff);
  end if;
  if headers is not null and jsonb_typeof(headers) <> 'object' then
    perform pgqueue._refuse('PQ001', format('headers is %s, not an object', jsonb_typeof(headers)), 'Give an object, or null for none.');
  end if;
end $$;
