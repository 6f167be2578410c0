create function pgqueue.next_runs(
  cron text,
  time_zone text default 'UTC',
  n integer default 5,
  after timestamptz default null)
returns setof timestamptz
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_tick timestamptz := coalesce(after, pgqueue._now());
begin
  perform pgqueue._check_name('cron', translate(cron, E'\t', ' '), 1000);
  perform pgqueue._check_zone(time_zone);
  perform pgqueue._check_time('after', v_tick);
  if n is null or n not between 1 and 1000 then
    perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Give a whole number from 1 to 1000.');
  end if;
  for v_nth in 1 .. n loop
    v_tick := pgqueue._next_tick(cron, time_zone, v_tick, null);
    exit when v_tick is null;
    return next v_tick;
  end loop;
end $$;

comment on function pgqueue.next_runs is
'The next n (1 to 1000) ticks of an expression after a time, null meaning now; nothing is stored. For the expressions see schedule. None: it never comes. Errors: PQ001.';
