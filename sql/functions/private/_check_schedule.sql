-- Everything about a schedule that can be known to be wrong when it is made, so that nothing is found out at three in the morning. Returns it as it is kept: with the queue that its kind goes to
-- when none was named, and the owner of its queries.
create function pgqueue._check_schedule(schedule pgqueue.schedule) returns pgqueue.schedule
language plpgsql
as $$
begin
  schedule.queue := coalesce(schedule.queue, case schedule.kind when 'sql.query' then 'queries' when 'sql.script' then 'scripts' else 'default' end);
  perform pgqueue._check_name('name', schedule.name, 200);
  perform pgqueue._check_name('cron', translate(schedule.cron, E'\t', ' '), 1000);
  perform pgqueue._check_zone(schedule.time_zone);
  perform pgqueue._check_job(case when schedule.kind in ('sql.query', 'sql.script') then 'sql' else schedule.kind end, schedule.args, schedule.queue, schedule.priority, null, null, schedule.unique_key, schedule.group_key,
    schedule.max_attempts, schedule.timeout, schedule.expires_in, schedule.heartbeat, schedule.backoff, schedule.headers);
  if num_nonnulls(schedule.unique_by, schedule.unique_until, schedule.unique_for, schedule.on_duplicate, schedule.on_success, schedule.on_error) > 0 then
    perform pgqueue._check_flow(schedule.unique_key, schedule.unique_by, schedule.unique_until, schedule.unique_for, schedule.on_duplicate, null, null,
      schedule.on_success, schedule.on_error);
  end if;
  if schedule.kind in ('sql.query', 'sql.script') then
    schedule.args := pgqueue._check_sql_schedule(schedule);
  end if;
  if schedule.missed is null or schedule.missed not in ('skip', 'one', 'all') then
    perform pgqueue._refuse('PQ001', format('missed is %L', schedule.missed),
      'Give skip (what was missed is left out), one (one job for all that was missed) or all (a job for each).');
  end if;
  if schedule.starts_at is not null then
    perform pgqueue._check_time('starts_at', schedule.starts_at);
  end if;
  if schedule.ends_at is not null then
    perform pgqueue._check_time('ends_at', schedule.ends_at);
    if schedule.ends_at <= schedule.starts_at then
      perform pgqueue._refuse('PQ001', format('ends_at %s is not after starts_at %s', schedule.ends_at, schedule.starts_at), 'Give a later ends_at.');
    end if;
  end if;
  if pgqueue._next_tick(schedule.cron, schedule.time_zone, greatest(pgqueue._now(), schedule.starts_at), schedule.starts_at) is null then
    perform pgqueue._refuse('PQ001', format('cron %L never comes', schedule.cron), 'No such day: look at the day of the month and the month.');
  end if;
  return schedule;
end $$;
