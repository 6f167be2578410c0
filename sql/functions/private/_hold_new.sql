-- Of new jobs, those whose parents have not all ended go where they wait for them; returns the others. Parents that have ended count at once. Of those that live, the ones of the
-- caller's own transaction, which nobody else sees, are marked in the row where they wait. Nothing of any other is locked: it must not wait for this transaction to be claimed or
-- settled, and may end meanwhile; a row in parent_look tells upkeep to look, when this transaction has committed.
--
-- Ids are joined with ids in hashes; tables are only looked into by array, within a range. A generic plan: one that is made for a long array expects more ids than fit into its
-- memory, and so compares each with each: a job with 320,000 parents took more than five minutes.
create function pgqueue._hold_new(jobs pgqueue.new_job[], now_ timestamptz) returns pgqueue.new_job[]
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_parents bigint[];
  v_low bigint;
  v_high bigint;
  v_known bigint[];
  v_own bigint[];
  v_ended bigint[];
  v_states text[];
  v_batches bigint[];
  v_gone bigint;
  v_held bigint[];
  v_dead pgqueue.new_job[];
begin
  if not exists (select from unnest(jobs) j where j.depends_on is not null) then
    return jobs;
  end if;
  select array_agg(p.id order by p.id), min(p.id), max(p.id) into v_parents, v_low, v_high
  from (select distinct p.id from unnest(jobs) j cross join lateral unnest(j.depends_on) p(id)) p
  where p.id not in (select j.id from unnest(jobs) j);
  if v_parents is not null then
    select array_agg(j.id), array_agg(j.id) filter (where j.xmin = pg_current_xact_id()::xid) into v_known, v_own
    from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_parents);
    select array_agg(o.job_id), array_agg(o.state::text) into v_ended, v_states
    from pgqueue.outcome o where o.job_id between v_low and v_high and o.job_id = any(v_parents);
    if coalesce(cardinality(v_known), 0) < cardinality(v_parents) then
      select array_agg(b.id), array_agg(b.id) filter (where b.done_at is not null) || v_ended,
        array_agg(case b.status when 'aborted' then 'cancelled' else b.status end) filter (where b.done_at is not null) || v_states
      into v_batches, v_ended, v_states
      from pgqueue.batch b where b.id = any(v_parents);
      select p into v_gone from unnest(v_parents) p
      where p not in (select i from unnest(v_known) i) and p not in (select i from unnest(v_batches) i) order by p limit 1;
      if found then
        perform pgqueue._refuse('PQ002', format('job %s, in depends_on, is unknown', v_gone),
          'It was never enqueued, its transaction was rolled back, it is past its retention, or it has ended and its queue keeps no history.');
      end if;
    end if;
    v_own := pgqueue._mark_parents(v_own);
  end if;

  with asked as materialized (
    select j.id, j.depends_on, coalesce(j.on_parent_failure, 'cancel')::pgqueue.parent_policy as policy from unnest(jobs) j where j.depends_on is not null),
  ended as materialized (select e.id, e.state from unnest(v_ended, v_states) e(id, state)),
  edge as materialized (
    select a.id as child, p.id as parent, a.policy, e.state, e.state is not null and (e.state = 'succeeded' or a.policy <> 'wait') as counted
    from asked a cross join lateral unnest(a.depends_on) p(id) left join ended e on e.id = p.id),
  known as (
    insert into pgqueue.dependency (parent_id, child_id, policy, counted) select e.parent, e.child, e.policy, e.counted from edge e),
  looks as (
    -- One that has failed may have been retried just now, and then is to tell how it ends this time.
    insert into pgqueue.parent_look (seq, job_id, low, high, parked)
    select nextval('pgqueue.job_id'), l.parent, l.low, l.high, false
    from (select e.parent, min(e.child) as low, max(e.child) as high from edge e where not e.counted group by e.parent) l
    where l.parent in (select p from unnest(v_parents) p) and l.parent not in (select i from unnest(v_own) i)),
  summed as materialized (
    select e.child, e.policy, count(*) filter (where not e.counted) as pending, bool_or(e.policy = 'cancel' and e.state <> 'succeeded') as dead
    from edge e group by e.child, e.policy),
  held as (
    insert into pgqueue.dependent (job_id, run_at, pending, traits, policy, priority, attempt, queue)
    select j.id, case when j.due > now_ then j.due end, s.pending, j.traits, s.policy, j.priority, 0, j.queue
    from unnest(jobs) j join summed s on s.child = j.id
    where s.pending > 0 and s.dead is not true)
  select array_agg(s.child) filter (where s.pending > 0 or s.dead), array(select j::pgqueue.new_job from unnest(jobs) j where j.id in (select d.child from summed d where d.dead))
  into v_held, v_dead
  from summed s;
  if cardinality(v_dead) > 0 then
    perform pgqueue._finish(array_agg(d.id order by d.id), array_agg('cancelled'::text), array_agg('parent_failed'::text), array_agg(0::smallint),
      array_agg(d.traits order by d.id), null, null, null, d.forget)
    from (
      select j.id, j.traits, pgqueue._forget((select q.history from pgqueue.queue q where q.name = j.queue)) as forget from unnest(v_dead) j) d
    group by d.forget;
  end if;
  return array(select j::pgqueue.new_job from unnest(jobs) j where j.id not in (select h from unnest(v_held) h));
end $$;
