-- Many jobs of any kinds in one statement, each element with the meaning it would have in enqueue.
create function pgqueue.enqueue_many(jobs jsonb)
returns table (id bigint, created boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_bad record;
  v_element jsonb;
  v_at bigint := 0;
  v_jobs pgqueue.new_job[];
  v_problem text;
  v_advice text;
begin
  if jobs is null or jsonb_typeof(jobs) <> 'array' then
    perform pgqueue._refuse('PQ001', format('jobs is %s, not an array', coalesce(jsonb_typeof(jobs), 'null')),
      'Give an array of objects, such as [{"kind": "mail", "args": {"to": "ada"}}].');
  end if;
  select e.ord, k.key into v_bad
  from jsonb_array_elements(jobs) with ordinality e(job, ord)
  left join lateral (
    select k.key from jsonb_object_keys(case when jsonb_typeof(e.job) = 'object' then e.job else '{}' end) k(key)
    where k.key not in ('kind', 'args', 'queue', 'priority', 'run_at', 'delay', 'unique_key', 'group_key', 'max_attempts', 'timeout',
      'expires_in', 'heartbeat', 'backoff', 'headers', 'unique_by', 'unique_until', 'unique_for', 'on_duplicate', 'depends_on', 'on_parent_failure',
      'on_success', 'on_error', 'ref') limit 1) k on true
  where jsonb_typeof(e.job) <> 'object' or k.key is not null
  order by e.ord limit 1;
  if found then
    perform pgqueue._refuse('PQ001',
      case when v_bad.key is null then format('element %s is not an object', v_bad.ord)
        else format('element %s has an unknown key %L', v_bad.ord, v_bad.key) end,
      'Each element is an object; its keys are the names of the parameters of enqueue.');
  end if;

  begin
    for v_element in select e.job from jsonb_array_elements(jobs) with ordinality e(job, ord) order by e.ord loop
      v_at := v_at + 1;
      v_jobs[v_at] := pgqueue._new_job(v_element, v_now);
    end loop;
  exception
    when data_exception or sqlstate 'PQ001' then
      get stacked diagnostics v_problem = message_text, v_advice = pg_exception_hint;
      perform pgqueue._refuse('PQ001', format('element %s: %s', v_at, v_problem),
        coalesce(nullif(v_advice, ''), 'The values are those of the parameters of enqueue; intervals are seconds or text such as ''5 minutes''.'));
  end;
  if v_jobs is null then
    return;
  end if;

  return query select s.id, s.created from pgqueue._store_jobs(v_jobs, v_now) s;
  perform pgqueue._refuse_if_full(q.queue, q.ids)
  from (
    select j.queue, array_agg(j.id) as ids from unnest(v_jobs) j where j.due <= v_now group by j.queue) q;
end $$;

comment on function pgqueue.enqueue_many is
'Enqueues an array of jobs in the caller''s transaction: one row per element, in input order. The keys of an element are the names of the parameters
of enqueue, with the same defaults and meaning, and null means not given; intervals are seconds or text such as "5 minutes". Two elements with one unique key make one job: the
second gets the first''s id with created = false. An element may have a "ref", and depends_on may hold refs of other elements beside ids: one call makes a whole graph;
a circle is refused. All or nothing. Errors: PQ001, naming the element; unknown keys are refused; PQ008 when
not all of them fit into their queue.';
