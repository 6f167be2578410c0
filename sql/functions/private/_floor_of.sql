-- The turn that the text of a cursor says to start from, if it is its owner's. Inlined: keep it one expression.
create function pgqueue._floor_of(cursor text, owner text) returns bigint
language sql immutable
return case when starts_with(cursor, owner) then split_part(cursor, E'\x1f', 4)::bigint else 0 end;
