-- Lets an end of this item that is in progress come to its commit, for a second at most. Whoever ends items looks for waiters before it commits; who begins to wait in between would miss both the notification
-- and the result. Ends hold a shared lock from before that look to their commit (_keyed_ended), of few numbers, lest a large one fill the table of locks. Here nobody queues for it, or others would behind.
create function pgqueue._keyed_settled(id bigint) returns void
language plpgsql
as $$
declare
  v_class integer := pgqueue._lock_class('keyed end');
  v_number integer := (id & 255)::integer;
begin
  if id is null then
    return;
  end if;
  for v_try in 1..250 loop
    if pg_try_advisory_lock(v_class, v_number) then
      perform pg_advisory_unlock(v_class, v_number);
      return;
    end if;
    perform pg_sleep(0.004);
  end loop;
end $$;
