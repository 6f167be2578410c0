-- Remembers where the next scan of this lane starts (see _cursor). `seen` is the lowest turn the scan found, null when it found none.
-- `sweep_started` is null when the scan was not a sweep; then the old expiry stands.
create function pgqueue._set_cursor(
  purpose text,
  queue text,
  priority integer,
  seen bigint,
  sweep_started float8,
  expires float8) returns void
language plpgsql
as $$
begin
  if seen is null then
    select s.last_value into seen from pgqueue.job_id s;
  end if;
  if sweep_started is not null then
    expires := pgqueue._sweep_again(sweep_started);
  end if;
  perform set_config(pgqueue._cursor_name(purpose, queue, priority), pgqueue._cursor_text(purpose, queue, priority, seen, expires), false);
end $$;
