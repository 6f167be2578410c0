-- The queue of an application's operation: its slices, slow queries and completions. Unambiguous, and plain for plain names.
create function pgqueue._rows_queue(app text, op text) returns text
language sql immutable
return replace(replace($1, '%', '%25'), '/', '%2F') || '/' || replace(replace($2, '%', '%25'), '/', '%2F');
