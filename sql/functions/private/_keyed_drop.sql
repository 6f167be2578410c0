-- Cancels an item and tells those concerned: who waits for it, by the final transition; who executes it; and who waits for the place it had.
create function pgqueue._keyed_drop(item bigint, reason text) returns boolean
language plpgsql
as $$
declare
  v_end record;
begin
  select * into v_end from pgqueue._keyed_end(item, 'cancelled', reason);
  if v_end.ended and v_end.was_active then
    if pg_notification_queue_usage() < 0.5 then
      if v_end.worker is null then
        perform pg_notify('pgqueue_keyed', item::text);
      else
        perform pg_notify('pgqueue_worker', v_end.worker::text);
      end if;
    end if;
    perform pgqueue._wake(v_end.line);
  end if;
  return v_end.ended;
end $$;
