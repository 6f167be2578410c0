-- The length of a document as compact JSON text, without blanks after colons and commas, in characters.
create function pgqueue._compact_length(document jsonb) returns integer
language sql immutable
return length(regexp_replace(document::text, '("(?:[^"\\]|\\.)*")|([:,]) ', '\1\2', 'g'));
