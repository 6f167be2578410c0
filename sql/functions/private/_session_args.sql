-- What the worker has to know to open the session for a job's SQL.
create function pgqueue._session_args(datasource text, role text, settings jsonb) returns jsonb
language sql immutable
return jsonb_build_object('datasource', datasource, 'role', role, 'settings', nullif(settings, '{}'));
