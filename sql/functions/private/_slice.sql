-- After which job id the next slice of a table begins: upkeep looks through such a table a slice a pass. Remembered by the session that leads; another begins
-- anew. Inlined: keep it one expression.
create function pgqueue._slice(purpose text) returns bigint
language sql stable
return coalesce(nullif(current_setting('pgqueue.slice_' || purpose, true), ''), '0')::bigint;
