create function pgqueue.configure_group(queue text, group_key text, settings jsonb)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  c_hint constant text := 'Keys: weight, group_limit, rate_limit (whole numbers), rate_period (seconds or interval text); null clears.';
  v_key text;
  v_problem text;
begin
  perform pgqueue._check_name('queue', queue, 200);
  perform pgqueue._check_name('group_key', group_key, 500);
  if settings is null or jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', coalesce(jsonb_typeof(settings), 'null')), c_hint);
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key not in ('weight', 'group_limit', 'rate_limit', 'rate_period') then
      perform pgqueue._refuse('PQ001', format('%L is not a setting of a group', v_key), c_hint);
    end if;
  end loop;
  begin
    perform pgqueue._check_interval('rate_period', pgqueue._interval(settings -> 'rate_period'), true);
    insert into pgqueue.queue (name, updated_at) values (configure_group.queue, pgqueue._now()) on conflict do nothing;
    -- The queue's row first, which guards own_groups.
    perform from pgqueue.queue q where q.name = configure_group.queue for no key update;
    insert into pgqueue.group_setting (queue, group_key, updated_at) values (configure_group.queue, configure_group.group_key, pgqueue._now()) on conflict do nothing;
    update pgqueue.group_setting g set
      weight = case when settings ? 'weight' then (settings ->> 'weight')::integer else g.weight end,
      group_limit = case when settings ? 'group_limit' then (settings ->> 'group_limit')::integer else g.group_limit end,
      rate_limit = case when settings ? 'rate_limit' then (settings ->> 'rate_limit')::integer else g.rate_limit end,
      rate_period = case when settings ? 'rate_period' then pgqueue._interval(settings -> 'rate_period') else g.rate_period end,
      updated_at = pgqueue._now()
    where g.queue = configure_group.queue and g.group_key = configure_group.group_key;
  exception
    when data_exception or check_violation then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, c_hint);
  end;
  delete from pgqueue.group_setting g
  where g.queue = configure_group.queue and g.group_key = configure_group.group_key and num_nonnulls(g.weight, g.group_limit, g.rate_limit, g.rate_period) = 0;
  update pgqueue.queue q set own_groups = exists (select from pgqueue.group_setting g where g.queue = configure_group.queue)
  where q.name = configure_group.queue;
  perform pgqueue._no_longer_counted(queue);
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  select nextval('pgqueue.job_id'), 0, 0, 0, configure_group.queue, configure_group.group_key
  where exists (select from pgqueue.blocked b where b.queue = configure_group.queue and b.group_key = configure_group.group_key);
  perform pgqueue._wake(queue);
  return pgqueue._group_settings(queue, group_key);
end $$;

comment on function pgqueue.configure_group is
'Changes settings of one group of a queue, where they differ from the queue''s, and returns all of them. Keys given are set, null clears, others stay.
weight: jobs of it in a round, where groups take turns (1 to 1000; 1); of an owner of scripts and queries, its share of the turns. group_limit: jobs of it running or about to. rate_limit, rate_period: starts of it in any time of that
length. What is not set is the queue''s. Errors: PQ001.';
