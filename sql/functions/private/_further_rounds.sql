-- More for a claim that found less than it wants, where groups take turns: those that it has started have their next admitted by now. Round after round, so that groups go on in turn
-- inside of one claim. Returns the further leases; which rounds they are of is the order of their ids.
create function pgqueue._further_rounds(worker bigint, queues text[], n integer, urgent boolean) returns bigint[]
language plpgsql
as $$
declare
  v_fair text[] := array(select q.name from pgqueue.queue q where q.name = any(queues) and q.fair order by array_position(queues, q.name));
  v_picked tid[];
  v_taken record;
  v_leases bigint[] := array[]::bigint[];
  v_left integer := n;
begin
  while v_left > 0 and cardinality(v_fair) > 0 loop
    v_picked := (pgqueue._pick(array(select l from pgqueue._lanes(v_fair) l), v_left, urgent)).picked;
    exit when coalesce(cardinality(v_picked), 0) = 0;
    v_left := v_left - cardinality(v_picked);
    select t.leases, t.any_ into v_taken from pgqueue._take(worker, v_picked, queues) t;
    if v_taken.any_ & 1024 <> 0 then
      v_taken.leases := pgqueue._keyed_claimed(v_taken.leases);
    end if;
    if v_taken.any_ & 16 <> 0 then
      v_taken.leases := pgqueue._drop_expired(v_taken.leases);
    end if;
    if v_taken.any_ & 2048 <> 0 then
      v_taken.leases := pgqueue._give_up_keys(v_taken.leases);
    end if;
    perform pgqueue._starts(v_taken.leases);
    v_leases := v_leases || v_taken.leases;
  end loop;
  return v_leases;
end $$;
