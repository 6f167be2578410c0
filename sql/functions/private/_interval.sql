-- An interval inside a JSON document: a number of seconds, or text as Postgres reads it.
create function pgqueue._interval(given jsonb) returns interval
language sql stable
return case jsonb_typeof(given)
  when 'number' then make_interval(secs => given::float8)
  when 'null' then null
  else (given #>> '{}')::interval end;
