-- One element of enqueue_many, converted and checked. Draws the job's id.
create function pgqueue._new_job(job jsonb, now_ timestamptz) returns pgqueue.new_job
language plpgsql
as $$
declare
  v_key text;
  v_new pgqueue.new_job;
  v_priority integer := coalesce((job ->> 'priority')::integer, 0);
  v_run_at timestamptz := (job ->> 'run_at')::timestamptz;
  v_delay interval := pgqueue._interval(job -> 'delay');
  v_max_attempts integer := (job ->> 'max_attempts')::integer;
  v_expires_in interval := pgqueue._interval(job -> 'expires_in');
  v_flow boolean := job ?| array['unique_by', 'unique_until', 'unique_for', 'on_duplicate', 'depends_on', 'on_parent_failure', 'on_success', 'on_error', 'ref'];
  v_unique_by text[];
begin
  for v_key in
    select k from unnest(array['kind', 'queue', 'unique_key', 'group_key', 'run_at', 'unique_until', 'on_duplicate', 'on_parent_failure', 'ref']) k
  loop
    if jsonb_typeof(job -> v_key) not in ('string', 'null') then
      perform pgqueue._refuse('PQ001', format('%s is %s, not text', v_key, jsonb_typeof(job -> v_key)), format('Give %s as a string.', v_key));
    end if;
  end loop;
  v_new.kind := job ->> 'kind';
  v_new.args := coalesce(nullif(job -> 'args', 'null'), '{}');
  v_new.queue := coalesce(job ->> 'queue', 'default');
  v_new.unique_key := job ->> 'unique_key';
  v_new.group_key := job ->> 'group_key';
  v_new.timeout := pgqueue._interval(job -> 'timeout');
  v_new.heartbeat := pgqueue._interval(job -> 'heartbeat');
  v_new.backoff := nullif(job -> 'backoff', 'null');
  v_new.headers := nullif(job -> 'headers', 'null');
  perform pgqueue._check_job(v_new.kind, v_new.args, v_new.queue, v_priority, v_run_at, v_delay, v_new.unique_key, v_new.group_key,
    v_max_attempts, v_new.timeout, v_expires_in, v_new.heartbeat, v_new.backoff, v_new.headers);
  v_new.id := nextval('pgqueue.job_id');
  v_new.priority := v_priority;
  v_new.max_attempts := v_max_attempts;
  v_new.due := coalesce(v_run_at, now_ + v_delay, now_);
  v_new.expires_at := now_ + v_expires_in;
  if v_flow then
    v_unique_by := pgqueue._names('unique_by', job -> 'unique_by');
    v_new.unique_for := pgqueue._interval(job -> 'unique_for');
    v_new.on_duplicate := job ->> 'on_duplicate';
    select array_agg((d.value #>> '{}')::bigint) filter (where jsonb_typeof(d.value) = 'number'), array_agg(d.value #>> '{}') filter (where jsonb_typeof(d.value) <> 'number')
    into v_new.depends_on, v_new.refs
    from pgqueue._elements('depends_on', job -> 'depends_on') d(value);
    v_new.on_parent_failure := job ->> 'on_parent_failure';
    v_new.on_success := nullif(job -> 'on_success', 'null');
    v_new.on_error := nullif(job -> 'on_error', 'null');
    v_new.ref := job ->> 'ref';
    perform pgqueue._check_flow(v_new.unique_key, v_unique_by, job ->> 'unique_until', v_new.unique_for, v_new.on_duplicate, v_new.depends_on,
      v_new.on_parent_failure, v_new.on_success, v_new.on_error);
    v_new.unique_key := coalesce(v_new.unique_key, pgqueue._derived_key(v_new.kind, v_new.args, v_unique_by));
    v_new.unique_until := case when v_new.unique_for is not null then 'period' when job ->> 'unique_until' = 'start' then 'start' end;
  end if;
  v_new.traits := pgqueue._traits(v_new.unique_key, v_new.group_key, v_new.timeout, v_new.heartbeat, v_new.expires_at);
  return v_new;
end $$;
