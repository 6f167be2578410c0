create function pgqueue.schedule(
  name text,
  cron text,
  kind text,
  args jsonb default '{}',
  time_zone text default 'UTC',
  queue text default null,
  missed text default 'one',
  priority integer default 0,
  unique_key text default null,
  group_key text default null,
  max_attempts integer default null,
  timeout interval default null,
  expires_in interval default null,
  heartbeat interval default null,
  backoff jsonb default null,
  headers jsonb default null,
  starts_at timestamptz default null,
  ends_at timestamptz default null,
  unique_by text[] default null,
  unique_until text default null,
  unique_for interval default null,
  on_duplicate text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (changed boolean, next_run timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_variable
declare
  v_new pgqueue.schedule;
begin
  v_new.name := name;
  v_new.cron := cron;
  v_new.time_zone := time_zone;
  v_new.kind := kind;
  v_new.args := args;
  v_new.queue := queue;
  v_new.missed := missed;
  v_new.priority := priority;
  v_new.unique_key := unique_key;
  v_new.group_key := group_key;
  v_new.max_attempts := max_attempts;
  v_new.timeout := timeout;
  v_new.expires_in := expires_in;
  v_new.heartbeat := heartbeat;
  v_new.backoff := backoff;
  v_new.headers := headers;
  v_new.starts_at := starts_at;
  v_new.ends_at := ends_at;
  v_new.unique_by := unique_by;
  v_new.unique_until := unique_until;
  v_new.unique_for := unique_for;
  v_new.on_duplicate := on_duplicate;
  v_new.on_success := on_success;
  v_new.on_error := on_error;
  return query select p.change <> 'unchanged', p.next_run from pgqueue._put_schedule(pgqueue._check_schedule(v_new)) p;
end $$;

comment on function pgqueue.schedule is
'Creates or replaces a schedule: at each of its ticks upkeep enqueues a job, exactly one however many workers lead or call maintain. Returns whether anything changed, and the next tick.
cron: five fields (minute, hour, day of the month, month, day of the week) with lists, ranges, steps and names, in the time zone; when both days are restricted either matches.
Or @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually; or ''every <interval>'', counted from starts_at, else from 1970, whatever the zone.
Where clocks change: fixed times come once, right after the gap or in the first pass; with a star at the start of the minute or hour, each real minute or hour that passes counts.
missed: what becomes of ticks more than a minute late: skip leaves them out, one enqueues one job for all, all enqueues each. starts_at, ends_at: no tick before, none after.
unique_key, unique_by: no further job while one has the key; the tick counts as done, with the holder as its job. on_duplicate raise: it is passed over too, and last_error says so.
The rest is as in enqueue, and queue is default.
kind sql.query and sql.script: a tick hands a query or script in; args are the named arguments of submit_query or submit_script, by default for the owner who makes the schedule; queue (queries,
scripts), priority, on_success and on_error are the schedule''s, and the other options of a job are refused. A job''s headers hold schedule (the name) and tick (the time it was due).
A replaced schedule stays paused if it was, and keeps the tick it owes if its times stay. Errors: PQ001, also for an expression that never comes; nothing is stored then.';
