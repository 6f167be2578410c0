-- Whether this session has seen that the lane is there, which it then is for good: upkeep removes doubles, never the last. Remembered in 256 settings,
-- direct-mapped as cursors are (see _cursor); a rolled-back lane is forgotten with its transaction, as settings are. The table's file tells
-- it from a later table of that name and from what it was before a truncate. Inlined: keep it one expression.
create function pgqueue._lane_known(queue text, priority integer) returns boolean
language sql stable
return coalesce(current_setting('pgqueue.lane_' || (hashtextextended(queue, priority::bigint) & 255)::text, true), '')
  = priority::text || E'\x1f' || pg_relation_filenode('pgqueue.lane')::text || E'\x1f' || queue;
