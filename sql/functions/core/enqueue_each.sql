-- The fast way to enqueue many jobs of one kind: two array-shaped inserts. With keys, groups or anything else that makes a job more than itself it goes the general way of enqueue_many.
create function pgqueue.enqueue_each(
  kind text,
  args jsonb[],
  queue text default 'default',
  priority integer default 0,
  run_at timestamptz default null,
  delay interval default null,
  unique_keys text[] default null,
  group_keys text[] default null,
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
  v_traits integer := 0;
  v_count integer := coalesce(cardinality(args), 0);
  v_bad record;
  v_ids bigint[];
  v_objects boolean;
begin
  -- Plain jobs pass in one expression and one look at their arguments: as in enqueue.
  select array_agg(nextval('pgqueue.job_id')), bool_and(coalesce(jsonb_typeof(e), 'null') = 'object') into v_ids, v_objects from unnest(args) e;
  if not coalesce(
    v_objects and array_ndims(args) = 1 and length(kind) <= 200 and length(queue) <= 200 and kind ~ '^[^\x01-\x1f\x7f-\x9f]+$'
      and kind not in ('sql.query', 'sql.script', 'rows.slice', 'rows.slow', 'rows.gate', 'rows.done', 'keyed.item')
      and queue ~ '^[^\x01-\x1f\x7f-\x9f]+$' and priority between -32768 and 32767
      and num_nonnulls(run_at, delay, unique_keys, group_keys, max_attempts, timeout, expires_in, heartbeat, backoff, headers,
        unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error) = 0,
    false)
  then
    if args is null or array_ndims(args) > 1 then
      perform pgqueue._refuse('PQ001', format('args is %s', case when args is null then 'null' else 'an array of arrays' end),
        'Give an array of objects, one for each job; an empty array enqueues nothing.');
    end if;
    if cardinality(unique_keys) <> v_count or cardinality(group_keys) <> v_count then
      perform pgqueue._refuse('PQ001', format('args has %s elements, unique_keys %s, group_keys %s', v_count,
        coalesce(cardinality(unique_keys)::text, 'is null'), coalesce(cardinality(group_keys)::text, 'is null')),
        'Give arrays of the same length, or null.');
    end if;
    perform pgqueue._check_job(kind, '{}', queue, priority, run_at, delay, null, null, max_attempts, timeout, expires_in, heartbeat, backoff, headers);
    perform pgqueue._check_flow(unique_keys[1], unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error);
    select e.ord, jsonb_typeof(e.args) as what into v_bad
    from unnest(args) with ordinality e(args, ord)
    where e.args is null or jsonb_typeof(e.args) <> 'object' order by e.ord limit 1;
    if found then
      perform pgqueue._refuse('PQ001', format('args of element %s is %s, not an object', v_bad.ord, coalesce(v_bad.what, 'null')),
        'Give the arguments by name, such as {"user_id": 42}, or {} for none.');
    end if;
    if v_count = 0 then
      return;
    end if;
  end if;

  v_due := coalesce(run_at, v_now + delay);
  if num_nonnulls(unique_keys, group_keys, unique_by, unique_until, unique_for, on_duplicate, depends_on, on_parent_failure, on_success, on_error) > 0 then
    v_expires_at := v_now + expires_in;
    perform pgqueue._check_names('unique_key', unique_keys, 500);
    perform pgqueue._check_names('group_key', group_keys, 500);
    return query
    select s.id, s.created
    from pgqueue._store_jobs(array(
      select (
        e.id, kind, e.args, queue, priority, coalesce(v_due, v_now), coalesce(e.unique_key, pgqueue._derived_key(kind, e.args, unique_by)), e.group_key, max_attempts,
        timeout, v_expires_at, heartbeat, backoff, headers, 0, case when unique_for is not null then 'period' when unique_until = 'start' then 'start' end, unique_for,
        on_duplicate, depends_on, null, on_parent_failure, on_success, on_error, null)::pgqueue.new_job
      from unnest(v_ids, enqueue_each.args, unique_keys, group_keys) with ordinality e(id, args, unique_key, group_key, ord) order by e.ord), v_now) s;
    if coalesce(v_due, v_now) <= v_now then
      perform pgqueue._refuse_if_full(queue, v_ids);
    end if;
    return;
  end if;

  if num_nonnulls(timeout, heartbeat, expires_in) > 0 then
    v_expires_at := v_now + expires_in;
    v_traits := pgqueue._traits(null, null, timeout, heartbeat, v_expires_at);
  end if;
  insert into pgqueue.job (id, created_at, expires_at, timeout, heartbeat, priority, max_attempts, queue, kind, args, backoff, headers)
  select e.id, v_now, v_expires_at, enqueue_each.timeout, enqueue_each.heartbeat, enqueue_each.priority, enqueue_each.max_attempts,
    enqueue_each.queue, enqueue_each.kind, e.args, enqueue_each.backoff, enqueue_each.headers
  from unnest(v_ids, enqueue_each.args) e(id, args);
  if v_expires_at is not null then
    insert into pgqueue.deadline (expires_at, job_id) select v_expires_at, e.id from unnest(v_ids) e(id);
  end if;
  if v_due > v_now then
    insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
    select v_due, e.id, v_traits, enqueue_each.priority, 0, enqueue_each.queue from unnest(v_ids) e(id);
  else
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select e.id, e.id, v_traits, enqueue_each.priority, 0, enqueue_each.queue from unnest(v_ids) e(id)
    where pg_sequence_last_value('pgqueue.bounded') is null or not pgqueue._bounded(enqueue_each.queue);
    if not found then
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      select e.id, e.id, v_traits, enqueue_each.priority, 0, enqueue_each.queue from unnest(v_ids) e(id);
      perform pgqueue._open_lane(queue, priority::smallint, false);
      perform pgqueue._refuse_if_full(queue, v_ids);
    end if;
    if not pgqueue._lane_known(queue, priority) then
      perform pgqueue._open_lane(queue, priority::smallint, false);
    end if;
    if not pgqueue._nobody_sleeps(queue) then
      perform pgqueue._wake(queue);
    end if;
  end if;
  return query select e.id, true from unnest(v_ids) e(id);
end $$;

comment on function pgqueue.enqueue_each is
'Enqueues many jobs of one kind with shared options, the fastest way in: one row per element of args, in input order. The parameters are those of
enqueue; unique_keys and group_keys, when given, are parallel to args. All or nothing. Errors: PQ001, naming the element, PQ008 when not all of them fit into the queue.';
