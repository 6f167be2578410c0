-- Where a scan of a queue-like index starts. Rows that were claimed leave dead entries at the head of the index, and while any session holds
-- an old snapshot nothing may remove them: a scan from the start walks them all. So each database session remembers, per lane, the lowest
-- turn it last saw, and starts there. It is a hint with an expiry: once expired, a scan from the start (a sweep) finds what was committed
-- late with an earlier turn; a sweep that cost much is due less often.
--
-- The memory is 256 custom settings of the session, used as a direct-mapped cache: neither a row, so it leaves nothing dead behind, nor one
-- setting per lane, so it does not grow with their number. A lane that lost its place to another starts from the beginning again.
create function pgqueue._cursor(
  in purpose text,
  in queue text,
  in priority integer,
  out floor bigint,
  out expires float8)
language plpgsql
as $$
declare
  v_text text := current_setting(pgqueue._cursor_name(purpose, queue, priority), true);
  v_owner text := pgqueue._cursor_owner(purpose, queue, priority);
begin
  floor := pgqueue._floor_of(v_text, v_owner);
  expires := pgqueue._expiry_of(v_text, v_owner);
end $$;
