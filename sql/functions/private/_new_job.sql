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
begin
  for v_key in select k from unnest(array['kind', 'queue', 'unique_key', 'group_key', 'run_at']) k loop
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
  v_new.traits := pgqueue._traits(v_new.unique_key, v_new.group_key, v_new.timeout, v_new.heartbeat, v_new.expires_at);
  return v_new;
end $$;
