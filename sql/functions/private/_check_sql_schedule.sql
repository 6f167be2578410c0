-- What a schedule of kind sql.query or sql.script must be, and by the checks of submit_query and submit_script: its ticks call these. Returns the args as they are kept, with the owner: whoever makes
-- the schedule, and not whoever runs upkeep.
create function pgqueue._check_sql_schedule(schedule pgqueue.schedule) returns jsonb
language plpgsql
as $$
declare
  c_session constant text[] := array['owner', 'datasource', 'role', 'settings'];
  c_query constant text[] := c_session || array['sql', 'params', 'timeout', 'wait_timeout', 'max_age', 'unique', 'read_only', 'batch_rows', 'max_rows', 'max_bytes', 'ttl'];
  v_script boolean := schedule.kind = 'sql.script';
  v_keys text[] := case when schedule.kind = 'sql.script' then c_session || array['document'] else c_query end;
  v_hint text := format('They are the arguments of %s: %s. Intervals are seconds or text such as ''5 minutes''.',
    case when schedule.kind = 'sql.script' then 'submit_script' else 'submit_query' end, array_to_string(v_keys, ', '));
  v_option text;
  v_key text;
  v_call record;
  v_owner text;
  v_most integer;
  v_problem text;
begin
  select o.name into v_option
  from (values (1, 'unique_key', schedule.unique_key is not null), (2, 'group_key', schedule.group_key is not null), (3, 'max_attempts', schedule.max_attempts is not null),
    (4, 'timeout', schedule.timeout is not null), (5, 'expires_in', schedule.expires_in is not null), (6, 'heartbeat', schedule.heartbeat is not null),
    (7, 'backoff', schedule.backoff is not null), (8, 'headers', schedule.headers is not null), (9, 'unique_by', schedule.unique_by is not null),
    (10, 'unique_until', schedule.unique_until is not null), (11, 'unique_for', schedule.unique_for is not null),
    (12, 'on_duplicate', schedule.on_duplicate is not null)) o(nth, name, given)
  where o.given order by o.nth limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('a schedule of kind %s cannot have %s', schedule.kind, v_option),
      'What the query or script is to have stands in args; queue, priority, on_success and on_error are the schedule''s.');
  end if;
  select k into v_key from jsonb_object_keys(schedule.args) k where k <> all(v_keys) order by k limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('args of a schedule of kind %s cannot have %L', schedule.kind, v_key), v_hint);
  end if;
  select e.key into v_key from jsonb_each(schedule.args) e
  where e.key in ('sql', 'owner', 'datasource', 'role') and jsonb_typeof(e.value) not in ('string', 'null') order by e.key limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('%s is %s, not text', v_key, jsonb_typeof(schedule.args -> v_key)), v_hint);
  end if;
  begin
    select * into v_call from pgqueue._tick_call(schedule.args);
  exception
    when data_exception then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, v_hint);
  end;
  v_owner := pgqueue._check_submit(v_call.owner, schedule.queue, schedule.priority, v_call.datasource, v_call.role, v_call.settings);
  if v_script then
    select c.script_max_chars into v_most from pgqueue.config c;
    if pgqueue._compact_length(v_call.document) > v_most then
      perform pgqueue._refuse('PQ001', format('the document is too large: %s characters of compact JSON', pgqueue._compact_length(v_call.document)),
        format('It may have %s; pgqueue.configure changes script_max_chars.', v_most));
    end if;
    perform pgqueue._script_document(v_call.document);
  else
    perform pgqueue._check_query(v_call.sql, v_call.params, v_call.timeout, v_call.wait_timeout, v_call.max_age, v_call.ttl, v_call.batch_rows, v_call.max_rows,
      v_call.max_bytes, v_call."unique", v_call.read_only);
    if v_call.max_age is not null and num_nonnulls(schedule.on_success, schedule.on_error) > 0 then
      perform pgqueue._refuse('PQ001', 'max_age is given for a query that has follow-ups', 'Such a query always runs: leave out max_age, or on_success and on_error.');
    end if;
  end if;
  return schedule.args || jsonb_build_object('owner', v_owner);
end $$;
