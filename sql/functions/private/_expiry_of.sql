-- When it expires, in seconds since the epoch. Inlined: keep it one expression.
create function pgqueue._expiry_of(cursor text, owner text) returns float8
language sql immutable
return case when starts_with(cursor, owner) then split_part(cursor, E'\x1f', 5)::float8 else 0 end;
