-- New jobs with what they wait for as ids, sorted, each once: refs name other elements of the same call (`jobs`, and `ids`, the jobs that stand for them). Those that others of the call
-- wait for, and those with follow-ups, have it in their traits. A circle is refused; where every ref names an earlier element there can be none.
create function pgqueue._with_parents(jobs pgqueue.new_job[], ids bigint[], new pgqueue.new_job[]) returns pgqueue.new_job[]
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
  v_bad record;
  v_parents bigint[];
begin
  if not exists (select from unnest(new) j where j.depends_on is not null or j.refs is not null or j.on_success is not null or j.on_error is not null)
    and not exists (select from unnest(jobs) j where j.refs is not null or j.ref is not null)
  then
    return new;
  end if;
  if exists (select from unnest(jobs) j where j.refs is not null or j.ref is not null) then
    select j.ref, count(*) as times into v_bad from unnest(jobs) j where j.ref is not null group by j.ref having count(*) > 1 limit 1;
    if found then
      perform pgqueue._refuse('PQ001', format('%s elements have the ref %L', v_bad.times, v_bad.ref), 'A ref names one element of the call.');
    end if;
    select e.ord, r.ref into v_bad
    from unnest(jobs) with ordinality e(id, kind, args, queue, priority, due, unique_key, group_key, max_attempts, timeout, expires_at, heartbeat, backoff,
      headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success, on_error, ref, ord)
    cross join unnest(e.refs) r(ref)
    where r.ref not in (select j.ref from unnest(jobs) j where j.ref is not null)
    order by e.ord limit 1;
    if found then
      perform pgqueue._refuse('PQ001', format('element %s: depends_on names %L, which is no element''s ref', v_bad.ord, v_bad.ref),
        'Give ids of jobs, and refs of elements of the same call.');
    end if;
    perform pgqueue._refuse_circle(jobs);
  end if;

  new := array(
    with named as materialized (
      select j.ref, j.id
      from rows from (unnest(jobs), unnest(ids)) with ordinality j(own_id, kind, args, queue, priority, due, unique_key, group_key, max_attempts, timeout,
        expires_at, heartbeat, backoff, headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success, on_error,
        ref, id, ord)
      where j.ref is not null),
    asked as materialized (
      select n.*, n.ordinality as ord from unnest(new) with ordinality n),
    edge as (
      select a.ord, p.id from asked a cross join lateral unnest(a.depends_on) p(id)
      union
      select a.ord, n.id from asked a cross join lateral unnest(a.refs) r(ref) join named n on n.ref = r.ref),
    parents as materialized (select e.ord, array_agg(e.id order by e.id) as ids from edge e group by e.ord)
    select (a.id, a.kind, a.args, a.queue, a.priority, a.due, a.unique_key, a.group_key, a.max_attempts, a.timeout, a.expires_at, a.heartbeat, a.backoff,
      a.headers, a.traits + case when coalesce(a.on_success, a.on_error) is not null then 8192 else 0 end, a.unique_until, a.unique_for, a.on_duplicate,
      p.ids, null, a.on_parent_failure, a.on_success, a.on_error, a.ref)::pgqueue.new_job
    from asked a left join parents p on p.ord = a.ord
    order by a.ord);
  v_parents := array(select distinct p from unnest(new) n cross join unnest(n.depends_on) p);
  if not exists (select from unnest(new) n where n.id = any(v_parents)) then
    return new;
  end if;
  return array(
    select case when n.id = any(v_parents)
      then (n.id, n.kind, n.args, n.queue, n.priority, n.due, n.unique_key, n.group_key, n.max_attempts, n.timeout, n.expires_at, n.heartbeat, n.backoff,
        n.headers, n.traits + 4096, n.unique_until, n.unique_for, n.on_duplicate, n.depends_on, n.refs, n.on_parent_failure, n.on_success, n.on_error,
        n.ref)::pgqueue.new_job
      else (n.id, n.kind, n.args, n.queue, n.priority, n.due, n.unique_key, n.group_key, n.max_attempts, n.timeout, n.expires_at, n.heartbeat, n.backoff,
        n.headers, n.traits, n.unique_until, n.unique_for, n.on_duplicate, n.depends_on, n.refs, n.on_parent_failure, n.on_success, n.on_error,
        n.ref)::pgqueue.new_job end
    from unnest(new) with ordinality n order by n.ordinality);
end $$;
