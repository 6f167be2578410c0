-- Remembers where the next scan of this lane starts (see _cursor). `seen` is the lowest turn the scan found, null when it found none. A margin
-- below it is kept: enqueues that commit a moment later than their neighbours are then found without a sweep.
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
declare
  v_now float8;
begin
  if seen is null then
    select s.last_value into seen from pgqueue.job_id s;
  end if;
  if sweep_started is not null then
    v_now := extract(epoch from clock_timestamp());
    expires := v_now + greatest(0.2, 10 * (v_now - sweep_started));
  end if;
  perform set_config(
    'pgqueue.cursor_' || (hashtextextended(_set_cursor.queue, priority + length(purpose)) & 255),
    concat_ws(E'\x1f', _set_cursor.queue, priority, purpose, greatest(seen - 100, 0), _set_cursor.expires), false);
end $$;
