-- What the server can tell of its own fitness to be a queue. Each row is one question; `fix` says what to do when ok is false.
create function pgqueue.health()
returns table (item text, ok boolean, detail text, fix text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_lost_after interval := (select c.lost_after from pgqueue.config c);
  v_count bigint;
  v_age interval;
  v_last bigint;
begin
  return query select 'server', current_setting('server_version_num')::integer >= 150000, format('PostgreSQL %s', current_setting('server_version')),
    'Use PostgreSQL 15 or newer.';
  return query select 'writable', not pg_is_in_recovery(), case when pg_is_in_recovery() then 'a read-only standby' else 'primary' end,
    'Connect to the primary: add target_session_attrs=read-write to the DSN.';
  return query select 'autovacuum', current_setting('autovacuum')::boolean and current_setting('track_counts')::boolean,
    format('autovacuum %s, track_counts %s', current_setting('autovacuum'), current_setting('track_counts')),
    'Turn autovacuum and track_counts on: without them the hot tables grow for ever.';
  select max(v_now - a.xact_start) into v_age
  from pg_catalog.pg_stat_activity a
  where a.backend_xmin is not null and a.pid <> pg_backend_pid() and a.datname = current_database();
  return query select 'oldest snapshot', coalesce(v_age < interval '1 hour', true),
    case when v_age is null then 'none' else format('a transaction has been open for %s', date_trunc('second', v_age)) end,
    'End it, or set idle_in_transaction_session_timeout: while it lives, nothing dead can be vacuumed. Claims stay fast, tables grow.';
  return query select 'prepared transactions', count(*) = 0, format('%s older than an hour', count(*)),
    'Commit or roll back what pg_prepared_xacts shows.'
  from pg_catalog.pg_prepared_xacts x where x.database = current_database() and x.prepared < v_now - interval '1 hour';
  select count(*) into v_count from pgqueue.worker w where w.heartbeat_at < v_now - v_lost_after;
  return query select 'lost workers', v_count = 0, format('%s without a heartbeat for %s', v_count, v_lost_after),
    'Run upkeep: start a worker or call pgqueue.maintain().';
  select count(*) into v_count from pgqueue.worker w where w.heartbeat_at >= v_now - v_lost_after;
  -- Items of keyed queues may have clients that execute them. The first of a lane stands for all.
  return query select 'workers',
    v_count > 0 or not exists (select from pgqueue.ready) or not exists (
      select from pgqueue.lane l
      cross join lateral (select r.traits from pgqueue.ready r where r.queue = l.queue and r.priority = l.priority order by r.seq limit 1) r
      where r.traits & 1024 = 0),
    format('%s live', v_count), 'Jobs are queued: start a worker.';
  select max(v_now - s.run_at) into v_age from pgqueue.scheduled s where s.run_at < v_now;
  return query select 'promotion', coalesce(v_age < interval '1 minute', true),
    case when v_age is null then 'nothing overdue' else format('a job has been due for %s', date_trunc('second', v_age)) end,
    'Nobody runs upkeep: start a worker, or call pgqueue.maintain() from cron.';
  return query select 'schedules', count(*) = 0,
    case when count(*) = 0 then 'all in time' else format('%s late or failing, such as %s: %s', count(*), min(s.name),
      coalesce((array_agg(s.last_error order by s.name))[1], 'not looked at')) end,
    'See last_error in pgqueue.schedules(), and correct it with schedule(). Without one, nobody runs upkeep: start a worker, or call pgqueue.maintain() from cron.'
  from pgqueue.schedule s where s.last_error is not null or s.due_at < v_now - interval '1 minute';
  return query select 'follow-ups', count(*) = 0,
    case when count(*) = 0 then 'all enqueued' else format('%s could not be enqueued, the last after job %s: %s', count(*), max(l.job_id),
      (array_agg(l.error order by l.made_at desc))[1]) end,
    'See pgqueue.attempts() of that job, and enqueue what it wanted. Such rows go when the history of their job does.'
  from (select * from pgqueue.late_follow_up l where l.error is not null order by l.seq desc limit 1000) l;
  select s.last_value into v_last from pgqueue.job_id s;
  select count(*) into v_count from pgqueue.block b where b.high > v_last;
  return query select 'blocks ahead', v_count > 0, format('%s partitions for ids from %s on', v_count, v_last),
    'Run upkeep; until then new jobs go to the default partition, and work.';
  return query select 'notification queue', pg_notification_queue_usage() < 0.5, format('%s full', round(pg_notification_queue_usage()::numeric, 2)),
    'Some session listens and does not read: find it in pg_stat_activity. Wake-ups stop above one half; workers poll.';
end $$;

comment on function pgqueue.health is
'What the server knows of its fitness to run this queue: one row per question, with what to do where ok is false. The command pgqueue doctor adds the
client''s half.';
