-- Remembers the earliest row that a scan from _due_cursor saw; when it saw none and was a sweep, the time up to which there was none.
create function pgqueue._set_due_cursor(
  purpose text,
  seen timestamptz,
  until timestamptz,
  sweep_started float8,
  expires float8) returns void
language plpgsql
as $$
begin
  if seen is not null or sweep_started is not null then
    perform pgqueue._set_cursor(purpose, '', 0, (extract(epoch from coalesce(seen, until)) * 1000)::bigint, sweep_started, expires);
  end if;
end $$;
