-- An error document of an attempt in one line.
create function pgqueue._error_text(error jsonb) returns text
language sql immutable
return nullif(left(concat_ws(': ', error ->> 'type', split_part(error ->> 'message', E'\n', 1)), 300), '');
