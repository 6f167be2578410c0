-- Writes one job inside the caller's transaction. Locks: none that another caller needs, but for two enqueues of one unique key, which meet on the
-- key's index entry: the second waits until the first transaction ends, then answers with the first's id, or makes the job itself
-- when the first was rolled back.
create function pgqueue.enqueue(
  kind text,
  args jsonb default '{}',
  queue text default 'default',
  priority integer default 0,
  run_at timestamptz default null,
  delay interval default null,
  unique_key text default null,
  group_key text default null,
  max_attempts integer default null,
  timeout interval default null,
  expires_in interval default null,
  heartbeat interval default null,
  backoff jsonb default null,
  headers jsonb default null,
  unique_by text[] default null,
  unique_until text default null,
  unique_for interval default null,
  on_duplicate text default null,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (id bigint, created boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_due timestamptz;
  v_expires_at timestamptz;
  v_traits integer;
  v_holder record;
begin
  -- In every transaction plpgsql prepares each expression anew that it comes across, which is most of what an enqueue costs: so a plain job, in
  -- order and without options, passes in one of them and takes the short way.
  if length(kind) <= 200 and length(queue) <= 200 and kind ~ '^[^\x01-\x1f\x7f-\x9f]+$' and queue ~ '^[^\x01-\x1f\x7f-\x9f]+$'
    and kind not in ('sql.query', 'sql.script', 'rows.slice', 'rows.slow', 'rows.gate', 'rows.done', 'keyed.item')
    and jsonb_typeof(args) = 'object' and priority between -32768 and 32767
    and num_nonnulls(run_at, delay, unique_key, group_key, max_attempts, timeout, expires_in, heartbeat, backoff, headers,
      unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error) = 0
  then
    id := nextval('pgqueue.job_id');
    created := true;
    insert into pgqueue.job (id, created_at, priority, queue, kind, args)
    values (enqueue.id, v_now, enqueue.priority, enqueue.queue, enqueue.kind, enqueue.args);
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select enqueue.id, enqueue.id, 0, enqueue.priority, 0, enqueue.queue
    where pg_sequence_last_value('pgqueue.bounded') is null or not pgqueue._bounded(enqueue.queue);
    if not found then
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      values (enqueue.id, enqueue.id, 0, enqueue.priority, 0, enqueue.queue);
      perform pgqueue._open_lane(queue, priority::smallint, false);
      perform pgqueue._refuse_if_full(queue, array[enqueue.id]);
    end if;
    if not pgqueue._lane_known(queue, priority) then
      perform pgqueue._open_lane(queue, priority::smallint, false);
    end if;
    if not pgqueue._nobody_sleeps(queue) then
      perform pgqueue._wake(queue);
    end if;
    return next;
    return;
  end if;

  perform pgqueue._check_job(kind, args, queue, priority, run_at, delay, unique_key, group_key, max_attempts, timeout, expires_in, heartbeat, backoff,
    headers);
  v_due := coalesce(run_at, v_now + delay);
  v_expires_at := v_now + expires_in;
  if num_nonnulls(unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error) > 0 then
    perform pgqueue._check_flow(unique_key, unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error);
    select s.id, s.created into id, created
    from pgqueue._store_jobs(array[(
      nextval('pgqueue.job_id'), kind, args, queue, priority, coalesce(v_due, v_now),
      coalesce(unique_key, pgqueue._derived_key(kind, args, unique_by)), group_key, max_attempts, timeout, v_expires_at, heartbeat, backoff, headers, 0,
      case when unique_for is not null then 'period' when unique_until = 'start' then 'start' end, unique_for, on_duplicate, depends_on, null,
      on_parent_failure, on_success, on_error, null)::pgqueue.new_job], v_now) s;
    if created and coalesce(v_due, v_now) <= v_now then
      perform pgqueue._refuse_if_full(queue, array[id]);
    end if;
    return next;
    return;
  end if;
  v_traits := pgqueue._traits(unique_key, group_key, timeout, heartbeat, v_expires_at);
  id := nextval('pgqueue.job_id');
  created := true;

  if unique_key is not null then
    loop
      insert into pgqueue.job_key (queue, unique_key, job_id) values (enqueue.queue, enqueue.unique_key, id)
      on conflict do nothing;
      exit when found;
      select k.job_id, coalesce(k.until <= v_now or (select l.job_id from pgqueue.left_key l where l.job_id = k.job_id) is not null, false) as gone into v_holder
      from (select k.job_id, k.until from pgqueue.job_key k where k.queue = enqueue.queue and k.unique_key = enqueue.unique_key offset 0) k
      order by k.job_id desc limit 1;  -- an old snapshot may show an ended holder beside this transaction's own. The offset: as in _try_keys
      if found and not v_holder.gone then
        id := v_holder.job_id;
        created := false;
        return next;
        return;
      end if;
      -- Its holder ended between the two statements, and the key is free again; or it holds the key no more.
      id := nextval('pgqueue.job_id');
      exit when found and pgqueue._seize_key(queue, unique_key, v_holder.job_id, id, null, v_now);
    end loop;
  end if;

  insert into pgqueue.job (id, created_at, expires_at, timeout, heartbeat, priority, max_attempts, queue, kind, unique_key, group_key,
    args, backoff, headers)
  values (enqueue.id, v_now, v_expires_at, enqueue.timeout, enqueue.heartbeat, enqueue.priority, enqueue.max_attempts, enqueue.queue,
    enqueue.kind, enqueue.unique_key, enqueue.group_key, enqueue.args, enqueue.backoff, enqueue.headers);
  if v_expires_at is not null then
    insert into pgqueue.deadline (expires_at, job_id) values (v_expires_at, enqueue.id);
  end if;
  if v_due > v_now then
    insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
    values (v_due, enqueue.id, v_traits, enqueue.priority, 0, enqueue.queue);
  else
    if group_key is not null then
      insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
      values (enqueue.id, enqueue.id, v_traits, enqueue.priority, 0, enqueue.queue, enqueue.group_key);
    else
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      values (enqueue.id, enqueue.id, v_traits, enqueue.priority, 0, enqueue.queue);
    end if;
    perform pgqueue._open_lane(queue, priority::smallint, group_key is not null);
    perform pgqueue._refuse_if_full(queue, array[id]);
    perform pgqueue._wake(queue);
  end if;
  return next;
end $$;

comment on function pgqueue.enqueue is
'Enqueues one job in the caller''s transaction: it exists once that commits, and never did if it rolls back.
kind: the name of what to do; those of queries, scripts, rows and keyed items, which have functions of their own, are refused. args: a JSON object. priority: -32768 to 32767, higher first. run_at or delay: not before then.
unique_key: while a job with this key lives in the queue, its id is returned with created = false. When the first enqueue of the key is not yet committed,
the second waits for it: it gets the first''s id after a commit and makes the job itself after a rollback.
group_key: jobs of a queue with one key share its group_limit and take turns; without a group_limit it changes nothing. max_attempts, timeout, backoff: null means the queue''s own.
timeout: how long one attempt may run. expires_in: fails with queue_timeout if it has not started by then. heartbeat: the job promises job_heartbeat at
least this often, or counts as lost. headers: an object for tools, not shown to the handler as arguments.
unique_by: the key is derived from the kind and these members of args, {} meaning all of them. unique_until: the key is given up at the job''s finish, or at its first
start. unique_for: instead, it is held for that long from now on, whatever becomes of the job. on_duplicate: what an enqueue of a held key does: return the holder,
replace the args and headers of one that still waits, debounce (replace, and move it to the new time), or raise (PQ005).
depends_on: ids of jobs that must end first; it is held until then. on_parent_failure: when one of them fails or is cancelled, cancel this job too, run it
all the same, or wait until that one has been retried; once that one is forgotten, so is the wait: it is cancelled. on_success, on_error: a job, or an array of jobs, as enqueue_many takes them, enqueued when this one
succeeds, or fails or is cancelled; its "pass_as" names the argument that receives the result or the error.
Errors: PQ001 for any argument that is out of range, PQ002 for an unknown id in depends_on, PQ005 on_duplicate raise, PQ008 when the queue is full (max_queued);
nothing is stored then.';
