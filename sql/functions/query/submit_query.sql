-- Sharing. The identity of a query is the unique key of its job, in a namespace of its own (no queue has the empty name), so the one final transition frees it. A cancel
-- frees it earlier: with the last caller gone, the run is not for others to wait for. Callers who attach and callers who leave meet at a lock of the job's, which no
-- worker ever takes; those who attach look again once they have it. A query that is a part of a flow is not shared: what its parents write may change its result, and its
-- follow-ups are the caller's own.
create function pgqueue.submit_query(
  sql text,
  params jsonb default null,
  owner text default null,
  queue text default 'queries',
  datasource text default null,
  role text default null,
  settings jsonb default null,
  timeout interval default null,
  wait_timeout interval default null,
  max_age interval default null,
  "unique" boolean default true,
  read_only boolean default false,
  batch_rows integer default null,
  max_rows bigint default null,
  max_bytes bigint default null,
  ttl interval default null,
  priority integer default 0,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
returns table (id bigint, created boolean, reused boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_owner text := pgqueue._check_submit(owner, queue, priority, datasource, role, settings);
  v_now timestamptz := pgqueue._now();
  v_identity bytea;
  v_key text;
  v_holder bigint;
begin
  perform pgqueue._check_query(sql, params, timeout, wait_timeout, max_age, ttl, batch_rows, max_rows, max_bytes, "unique", read_only);
  if num_nonnulls(depends_on, on_parent_failure, on_success, on_error) > 0 then
    perform pgqueue._check_flow(null, null, null, null, null, depends_on, on_parent_failure, on_success, on_error);
    if max_age is not null then
      perform pgqueue._refuse('PQ001', 'max_age is given for a query that is part of a flow', 'Such a query always runs: leave out max_age, or depends_on, on_parent_failure, on_success and on_error.');
    end if;
    "unique" := false;
  end if;
  v_identity := sha256(convert_to(jsonb_build_array(submit_query.sql, coalesce(nullif(params, 'null'), '[]'), datasource, role, coalesce(settings, '{}'), read_only)::text, 'UTF8'));
  v_key := encode(v_identity, 'hex');
  created := false;
  if max_age is not null then
    id := pgqueue._fresh_result(v_identity, v_now - max_age);
    if id is not null then
      reused := true;
      -- Only so that this owner may read it: a dashboard that asks every second leaves one row.
      insert into pgqueue.query_caller (job_id, owner)
      select submit_query.id, v_owner
      where not exists (select from pgqueue.query_caller c where c.job_id = submit_query.id and c.owner = v_owner);
      return next;
      return;
    end if;
  end if;

  reused := false;
  for v_try in 1..100 loop
    exit when not "unique";
    select k.job_id into v_holder from pgqueue.job_key k where k.queue = '' and k.unique_key = v_key;
    exit when not found;
    perform pg_advisory_xact_lock_shared(pgqueue._lock_class('query'), hashint8(v_holder));
    if exists (select from pgqueue.left_key l where l.job_id = v_holder) then
      -- It ended beside a cancel that was rolled back, and left its key behind.
      delete from pgqueue.job_key k where k.job_id = v_holder and k.queue = '';
      delete from pgqueue.left_key l where l.job_id = v_holder;
    elsif exists (select from pgqueue.job_key k where k.queue = '' and k.unique_key = v_key and k.job_id = v_holder) then
      id := v_holder;
      insert into pgqueue.query_caller (job_id, owner) values (submit_query.id, v_owner);
      return next;
      return;
    end if;
  end loop;

  id := nextval('pgqueue.job_id');
  if "unique" then
    insert into pgqueue.job_key (queue, unique_key, job_id) values ('', v_key, submit_query.id) on conflict do nothing;
    if not found then
      -- Somebody was quicker, and has committed: theirs is joined.
      return query
      select s.id, s.created, s.reused
      from pgqueue.submit_query(submit_query.sql, params, v_owner, queue, datasource, role, settings, timeout, wait_timeout, max_age, "unique", read_only, batch_rows, max_rows,
        max_bytes, ttl, priority) s;
      return;
    end if;
  end if;
  created := true;
  insert into pgqueue.query (job_id, submitted_at, timeout, ttl, max_rows, max_bytes, batch_rows, read_only, identity, queue, owner, datasource, role, settings, params, sql)
  values (submit_query.id, v_now, submit_query.timeout, submit_query.ttl, submit_query.max_rows, submit_query.max_bytes, submit_query.batch_rows, submit_query.read_only,
    v_identity, submit_query.queue, v_owner, submit_query.datasource, submit_query.role, submit_query.settings, nullif(submit_query.params, 'null'), submit_query.sql);
  insert into pgqueue.query_caller (job_id, owner) values (submit_query.id, v_owner);
  perform pgqueue._new_sql_job(id, 'sql.query', pgqueue._session_args(datasource, role, settings) || jsonb_build_object('read_only', submit_query.read_only), queue, v_owner,
    priority, case when "unique" then 1 else 0 end, v_now + wait_timeout, depends_on, on_parent_failure, on_success, on_error);
  return next;
end $$;

comment on function pgqueue.submit_query is
'Hands one SQL statement in; a worker runs it in a session of its own and keeps the result for a while, readable chunk by chunk from the first on.
params: an array of values for $1, $2, …. owner: who asks (default: the role that calls); owners take turns. datasource: a name the workers know. role, settings, read_only: what the session is to have. timeout: how
long it may run. wait_timeout: fails with queue_timeout if it has not started by then.
unique: a query with the same text, params, datasource, role, settings and read_only that is live already is joined (created false). max_age: so is a result that is not older (reused true). batch_rows: rows in
a chunk. max_rows, max_bytes: fail if the result is larger. ttl: how long the result is kept after the end (result_ttl, 1 hour).
depends_on: ids of jobs, of any kind, that must end first; the query is held until then. on_parent_failure: cancel (default), run or wait. on_success, on_error: jobs to enqueue when it ends, as in enqueue; pass_as of
on_success receives {"rows", "bytes", "batches", "command"}. With any of these four it is a run of its own: it joins none and none joins it, and max_age is refused. wait_timeout counts while it is held.
Errors: PQ001; PQ002 unknown parent; PQ008 the queue has max_queued and is full; nothing is stored then.';
