-- The first lane of the window that _pick_wide remembers, as queue and priority; null when there is none for these queues or it has expired. Inlined:
-- keep it one expression.
create function pgqueue._window(setting text, queues text[], clock float8) returns text[]
language sql immutable
return case
  when pgqueue._has_window(setting, queues) and split_part(setting, E'\x1e', 2)::float8 > clock
  then string_to_array(split_part(setting, E'\x1e', 3), E'\x1f') end;
