-- As wait: a procedure, because waiting inside a function would pin one snapshot for as long.
create procedure pgqueue.keyed_wait(
  id bigint,
  timeout interval default '1 minute',
  inout payload text default null,
  inout state text default null)
language plpgsql
as $$
#variable_conflict use_variable
declare
  -- Its caller's search_path may put other operators first; these are named in full.
  v_until float8 := extract(epoch from pg_catalog.clock_timestamp())::float8 operator(pg_catalog.+)
    extract(epoch from coalesce(timeout, '1 minute'::interval))::float8;
  v_left float8;
  v_pause float8 := 0.005;
begin
  loop
    select r.state into state from pgqueue.keyed_state(id) r;
    commit;
    v_left := v_until operator(pg_catalog.-) extract(epoch from pg_catalog.clock_timestamp())::float8;
    exit when state operator(pg_catalog.<>) all (array['pending', 'active']::text[]) or v_left operator(pg_catalog.<=) 0::float8;
    perform pg_catalog.pg_sleep(least(v_pause, v_left));
    v_pause := least(v_pause operator(pg_catalog.*) 1.5::float8, 0.5::float8);
  end loop;
  select r.payload into payload from pgqueue.keyed_result_by_id(id) r;
  commit;
end $$;

comment on procedure pgqueue.keyed_wait is
'Waits until an item has ended, for at most timeout, and gives its result, null when there is none: call pgqueue.keyed_wait(42). state: succeeded, failed, cancelled; pending or active on a timeout; gone when the item and its
result are past. For clients that cannot listen; it polls. Call it outside a transaction block. Errors: none of its own.';
