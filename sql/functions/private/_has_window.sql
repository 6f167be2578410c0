-- Whether the window that _pick_wide remembers, expired or not, is one for these queues. Inlined: keep it one expression.
create function pgqueue._has_window(setting text, queues text[]) returns boolean
language sql immutable
return split_part(setting, E'\x1e', 1) = hash_array_extended(queues, 0)::text;
