-- The queue of the core in which items of a keyed queue stand: that of the same name; for exclusive items one of their process's own, where no other claim finds them.
-- Inlined: keep it one expression.
create function pgqueue._keyed_line(queue text, process_id text default null) returns text
language sql immutable
as $$
  select case when $2 is null and length($1) <= 200 then $1 else pgqueue._keyed_long_line($1 || coalesce('@' || $2, '')) end;
$$;
