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
  v_hint text[] := string_to_array(
    current_setting('pgqueue.cursor_' || (hashtextextended(_cursor.queue, priority + length(purpose)) & 255), true), E'\x1f');
begin
  if v_hint[1] = _cursor.queue and v_hint[2] = priority::text and v_hint[3] = purpose then
    floor := v_hint[4]::bigint;
    expires := v_hint[5]::float8;
  else
    floor := 0;
    expires := 0;
  end if;
end $$;
