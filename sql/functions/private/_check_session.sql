-- What a job may ask of the session its SQL runs in.
create function pgqueue._check_session(datasource text, role text, settings jsonb) returns void
language plpgsql
as $$
declare
  v_key text;
begin
  if datasource is not null then
    perform pgqueue._check_name('datasource', datasource, 200);
  end if;
  if role is not null then
    perform pgqueue._check_name('role', role, 63);
    if role = 'none' then
      perform pgqueue._refuse('PQ001', 'role is none', 'Leave it out to run as the role the worker logs in with.');
    end if;
  end if;
  if settings is null then
    return;
  end if;
  if jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', jsonb_typeof(settings)), 'Give settings of the server by name, such as {"work_mem": "64MB"}.');
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key !~ '^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$' then
      perform pgqueue._refuse('PQ001', format('%L cannot be the name of a setting', v_key), 'Give settings of the server by name, such as {"work_mem": "64MB"}.');
    end if;
    if lower(v_key) in ('role', 'session_authorization', 'statement_timeout', 'application_name', 'client_connection_check_interval', 'client_encoding',
      'standard_conforming_strings', 'default_transaction_read_only') then
      perform pgqueue._refuse('PQ001', format('%s is not for settings', v_key),
        case lower(v_key) when 'role' then 'Use the argument role.' when 'statement_timeout' then 'Use the timeout.' else 'The worker sees to it.' end);
    end if;
    if jsonb_typeof(settings -> v_key) not in ('string', 'number', 'boolean') then
      perform pgqueue._refuse('PQ001', format('setting %s is %s', v_key, jsonb_typeof(settings -> v_key)), 'Give text, a number, true or false.');
    end if;
  end loop;
end $$;
