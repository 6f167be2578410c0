-- What a schedule of kind sql.query or sql.script hands in at each tick: `args` read as the named arguments of submit_query or submit_script. Fails as a data exception where one cannot be read as
-- the argument's type.
create function pgqueue._tick_call(
  in args jsonb,
  out document jsonb,
  out sql text,
  out params jsonb,
  out owner text,
  out datasource text,
  out role text,
  out settings jsonb,
  out timeout interval,
  out wait_timeout interval,
  out max_age interval,
  out "unique" boolean,
  out read_only boolean,
  out batch_rows integer,
  out max_rows bigint,
  out max_bytes bigint,
  out ttl interval)
language sql stable
as $$
  select args -> 'document', args ->> 'sql', args -> 'params', args ->> 'owner', args ->> 'datasource', args ->> 'role', nullif(args -> 'settings', 'null'),
    pgqueue._interval(args -> 'timeout'), pgqueue._interval(args -> 'wait_timeout'), pgqueue._interval(args -> 'max_age'),
    coalesce((args ->> 'unique')::boolean, true), coalesce((args ->> 'read_only')::boolean, false), (args ->> 'batch_rows')::integer,
    (args ->> 'max_rows')::bigint, (args ->> 'max_bytes')::bigint, pgqueue._interval(args -> 'ttl');
$$;
