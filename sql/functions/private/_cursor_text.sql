-- What the setting of a cursor holds: whose cursor it is, the turn to start from, when it expires. The margin finds what neighbours in time commit a
-- moment late without a sweep. Inlined: keep it one expression.
create function pgqueue._cursor_text(purpose text, queue text, priority integer, seen bigint, expires float8) returns text
language sql immutable
return pgqueue._cursor_owner(purpose, queue, priority) || (greatest(seen - 100, 0))::text || E'\x1f' || expires::text;
