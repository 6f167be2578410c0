-- The setting that holds the cursor of a purpose and lane. Inlined: keep it one expression.
create function pgqueue._cursor_name(purpose text, queue text, priority integer) returns text
language sql immutable
return 'pgqueue.cursor_' || (hashtextextended(queue, (16 * priority + length(purpose))::bigint) & 255)::text;
