-- How the text of a cursor begins: whose it is. Inlined: keep it one expression, and its casts, without which it would not be immutable.
create function pgqueue._cursor_owner(purpose text, queue text, priority integer) returns text
language sql immutable
return queue || E'\x1f' || priority::text || E'\x1f' || purpose || E'\x1f';
