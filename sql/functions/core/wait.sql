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
  v_until timestamptz := clock_timestamp() + coalesce(timeout, interval '1 minute');
  v_pause float8 := 0.005;
begin
  loop
    select r.state, r.reason, r.result into state, reason, result from pgqueue.result(id) r;
    commit;
    exit when state in ('succeeded', 'failed', 'cancelled') or clock_timestamp() >= v_until;
    perform pg_catalog.pg_sleep(least(v_pause, greatest(extract(epoch from v_until - clock_timestamp()), 0)));
    v_pause := least(v_pause * 1.5, 0.5);
  end loop;
end $$;

comment on procedure pgqueue.wait is
'Waits until a job is final, for at most timeout, and gives its state, reason and result: call pgqueue.wait(42). On a timeout the state is that of the live
job. Call it outside a transaction block: it commits between its looks. Errors: PQ002.';
