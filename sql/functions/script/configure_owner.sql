create function pgqueue.configure_owner(owner text, settings jsonb)
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  c_hint constant text := 'Keys: timeout (seconds or interval text), max_waiting (a whole number); null clears.';
  v_key text;
  v_problem text;
begin
  perform pgqueue._check_name('owner', owner, 500);
  if settings is null or jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', coalesce(jsonb_typeof(settings), 'null')), c_hint);
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key not in ('timeout', 'max_waiting') then
      perform pgqueue._refuse('PQ001', format('%L is not a setting of an owner', v_key), c_hint);
    end if;
  end loop;
  begin
    perform pgqueue._check_interval('timeout', pgqueue._interval(settings -> 'timeout'), true);
    insert into pgqueue.owner (name, updated_at) values (configure_owner.owner, pgqueue._now()) on conflict do nothing;
    update pgqueue.owner o set
      timeout = case when settings ? 'timeout' then pgqueue._interval(settings -> 'timeout') else o.timeout end,
      max_waiting = case when settings ? 'max_waiting' then (settings ->> 'max_waiting')::integer else o.max_waiting end,
      updated_at = pgqueue._now()
    where o.name = configure_owner.owner;
  exception
    when data_exception or check_violation then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, c_hint);
  end;
  return (select jsonb_build_object('timeout', o.timeout, 'max_waiting', o.max_waiting) from pgqueue.owner o where o.name = configure_owner.owner);
end $$;

comment on function pgqueue.configure_owner is
'Changes settings of an owner of scripts and queries, in all queues, and returns them. Keys given are set, null clears. timeout: how long one query may run, instead of the queue''s and the installation''s
limit. max_waiting: how many scripts may wait in a queue, instead of script_max_waiting. Errors: PQ001.';
