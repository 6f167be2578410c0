-- Second keys of the session's own advisory locks of one class. Session locks count: taken twice, they must be let go twice; so callers look first.
create function pgqueue._locks_held(purpose text) returns setof integer
language sql
as $$
  select l.objid::bigint::bit(32)::integer
  from pg_catalog.pg_locks l
  where l.locktype = 'advisory' and l.pid = pg_backend_pid() and l.granted and l.objsubid = 2
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
    and l.classid::bigint::bit(32)::integer = pgqueue._lock_class(purpose);
$$;
