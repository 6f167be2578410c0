-- A procedure, because waiting inside a function would pin one snapshot for as long: it commits between its looks. So it cannot be security definer and
-- runs with its caller's rights; the look itself is the function result.
create procedure pgqueue.wait(
  id bigint,
  timeout interval default '1 minute',
  inout state text default null,
  inout reason text default null,
  inout result jsonb default null)
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
    select r.state, r.reason, r.result into state, reason, result from pgqueue.result(id) r;
    commit;
    v_left := v_until operator(pg_catalog.-) extract(epoch from pg_catalog.clock_timestamp())::float8;
    exit when reason is not null or state operator(pg_catalog.=) 'succeeded'::text or v_left operator(pg_catalog.<=) 0::float8;
    perform pg_catalog.pg_sleep(least(v_pause, v_left));
    v_pause := least(v_pause operator(pg_catalog.*) 1.5::float8, 0.5::float8);
  end loop;
end $$;

comment on procedure pgqueue.wait is
'Waits until a job is final, for at most timeout, and gives its state, reason and result: call pgqueue.wait(42). On a timeout the state is that of the live
job. An id of a batch or slow query does as well. Call it outside a transaction block: it commits between its looks. Errors: PQ002.';
