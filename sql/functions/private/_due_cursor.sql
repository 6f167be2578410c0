-- Where a scan of an index on due times starts: due rows leave dead entries at its head as claims do. As _cursor, in times: `floor` is one second before the
-- earliest row last seen, or the beginning when a sweep is due.
create function pgqueue._due_cursor(
  in purpose text,
  out floor timestamptz,
  out sweep_started float8,
  out expires float8)
language plpgsql
as $$
declare
  v_clock float8 := extract(epoch from clock_timestamp());
  v_cursor record;
begin
  select * into v_cursor from pgqueue._cursor(purpose, '', 0);
  expires := v_cursor.expires;
  if v_clock >= expires then
    floor := '-infinity';
    sweep_started := v_clock;
  else
    floor := to_timestamp((v_cursor.floor - 1000) / 1000.0);
  end if;
end $$;
