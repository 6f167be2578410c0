-- A schedule as a program declares it: an object whose keys are the parameters of the function schedule. Refuses unknown keys; what cannot be read as the parameter's
-- type fails as a data exception.
create function pgqueue._declared_schedule(declared jsonb) returns pgqueue.schedule
language plpgsql
as $$
declare
  c_keys constant text[] := array['name', 'cron', 'kind', 'args', 'time_zone', 'queue', 'missed', 'priority', 'unique_key', 'group_key', 'max_attempts', 'timeout',
    'expires_in', 'heartbeat', 'backoff', 'headers', 'starts_at', 'ends_at', 'unique_by', 'unique_until', 'unique_for', 'on_duplicate',
    'on_success', 'on_error'];
  c_hint constant text := format('Give an object; its keys are %s; time spans are seconds or interval text.', array_to_string(c_keys, ', '));
  v_given jsonb := jsonb '{"args": {}, "time_zone": "UTC", "missed": "one", "priority": 0}';
  v_key text;
begin
  if jsonb_typeof(declared) <> 'object' then
    perform pgqueue._refuse('PQ001', format('the declaration is %s, not an object', jsonb_typeof(declared)), c_hint);
  end if;
  for v_key in select k from jsonb_object_keys(declared) k where not k = any(c_keys) order by k loop
    perform pgqueue._refuse('PQ001', format('%L is no parameter of schedule', v_key), c_hint);
  end loop;
  v_given := v_given || coalesce((select jsonb_object_agg(e.key, e.value) from jsonb_each(declared) e where e.value <> 'null'), '{}');
  return jsonb_populate_record(null::pgqueue.schedule, v_given);
end $$;
