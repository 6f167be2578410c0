-- Tells children that parents have ended: those of each parent with ids from lows[i] to highs[i]. The arrays are parallel, a later element of the same parent says how it ended last.
-- Children that wait for nobody any more go on; one whose policy is to be cancelled ends, and so its own children are next: a loop, not a recursion, however long the chain. About
-- `budget` children are looked at, and what is left goes to parent_look. So does what cannot be told now: children that are locked, which nobody here waits for, and those that wait
-- for more than `most` others. The gate of a batch is no job to run: it ends here, and the batch goes. Returns how many were looked at.
--
-- Whoever counts for a child has its row locked, and only then looks what is not counted yet: so nothing counts twice. Locks: children, by skip locked; a settle or cancel has its
-- job locked before, but nothing here waits.
--
-- Joins are nested loops, which look into tables row by row, and the first of them gives its rows in the order of the arrays.
create function pgqueue._release(
  parents bigint[],
  states text[],
  lows bigint[],
  highs bigint[],
  budget integer,
  most integer,
  parked boolean) returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_left integer := budget;
  v_rows integer;
  v_last integer;
  v_parents bigint[];
  v_children bigint[];
  v_states text[];
  v_locked bigint[];
  v_any integer;
  v_busy bigint[];
  v_done bigint := 0;
  v_jobs bigint[];
  v_queues text[];
  v_priorities smallint[];
  v_attempts smallint[];
  v_traits integer[];
  v_dead bigint[];
  v_dead_queues text[];
  v_dead_attempts smallint[];
  v_dead_traits integer[];
begin
  while cardinality(parents) > 0 and v_left > 0 loop
    select array_agg(e.parent), array_agg(e.child), array_agg(e.state), count(*), max(e.ord)
    into v_parents, v_children, v_states, v_rows, v_last
    from (
      select g.ord, g.parent, g.state, d.child_id as child
      from unnest(parents, states, lows, highs) with ordinality g(parent, state, low, high, ord)
      cross join lateral (
        select d.child_id from pgqueue.dependency d
        where d.parent_id = g.parent and d.child_id between g.low and g.high and not d.counted
        order by d.parent_id, d.child_id limit v_left) d
      limit v_left) e;
    if v_rows = v_left then
      lows[v_last] := v_children[v_rows] + 1;
      parents := parents[v_last:];
      states := states[v_last:];
      lows := lows[v_last:];
      highs := highs[v_last:];
    else
      parents := array[]::bigint[];
      states := array[]::text[];
      lows := array[]::bigint[];
      highs := array[]::bigint[];
    end if;
    v_left := v_left - greatest(v_rows, 10);
    v_done := v_done + v_rows;
    continue when v_rows = 0;

    select coalesce(array_agg(l.job_id order by l.job_id), '{}'), bit_or(l.traits) into v_locked, v_any
    from (
      select w.job_id, w.traits from pgqueue.dependent w
      where w.job_id = any(v_children) and (most is null or w.pending <= most) order by w.job_id for update skip locked) l;
    if v_any & 512 <> 0 then
      v_locked := pgqueue._try_gates(v_locked);
    end if;
    v_busy := array(select w.job_id from pgqueue.dependent w where w.job_id = any(v_children) and w.job_id <> all(v_locked));
    if cardinality(v_busy) > 0 then
      insert into pgqueue.parent_look (seq, job_id, state, low, high, parked)
      select nextval('pgqueue.job_id'), e.parent, e.state::pgqueue.final_state, e.child, e.child, _release.parked
      from unnest(v_parents, v_children, v_states) e(parent, child, state) where e.child = any(v_busy);
    end if;
    continue when cardinality(v_locked) = 0;

    with given as materialized (
      select distinct on (e.child, e.parent) e.child, e.parent, e.state
      from unnest(v_parents, v_children, v_states) with ordinality e(parent, child, state, ord)
      where e.child = any(v_locked)
        and (select d.child_id from pgqueue.dependency d where d.parent_id = e.parent and d.child_id = e.child and not d.counted) is not null
      order by e.child, e.parent, e.ord desc),
    judged as materialized (
      select g.child, g.parent, g.state, w.policy, w.pending, w.policy = 'cancel' and bool_or(g.state <> 'succeeded') over (partition by g.child) as dead,
        w.pending - count(*) filter (where g.state = 'succeeded' or w.policy <> 'wait') over (partition by g.child) as pending_now
      from given g
      cross join lateral (select w.policy, w.pending from pgqueue.dependent w where w.job_id = g.child offset 0) w),
    counted as (
      update pgqueue.dependency d set counted = true
      where d.ctid = any(array(
        select d.ctid from judged j
        cross join lateral (select d.ctid from pgqueue.dependency d where d.parent_id = j.parent and d.child_id = j.child offset 0) d
        where not j.dead and j.pending_now > 0 and (j.state = 'succeeded' or j.policy <> 'wait')))),
    -- Addresses of the children, looked up one by one: a join would be planned by what the tables held when they were last analysed.
    found as materialized (
      select c.child, c.dead, c.pending, c.pending_now, w.place
      from (select distinct j.child, j.dead, j.pending, j.pending_now from judged j) c
      cross join lateral (select w.ctid as place from pgqueue.dependent w where w.job_id = c.child offset 0) w),
    waiting as (
      update pgqueue.dependent d set pending = f.pending_now
      from found f where d.ctid = f.place and not f.dead and f.pending_now > 0 and f.pending_now < f.pending),
    gone as materialized (
      delete from pgqueue.dependent d
      using found f
      where d.ctid = f.place and (f.dead or f.pending_now <= 0)
      returning d.*, f.dead),
    later as (
      insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
      select g.run_at, g.job_id, g.traits, g.priority, g.attempt, g.queue from gone g where not g.dead and g.run_at > v_now)
    select array_agg(g.job_id order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.queue order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.priority order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.attempt order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.traits order by g.job_id) filter (where not g.dead and (g.run_at > v_now) is not true),
      array_agg(g.job_id order by g.job_id) filter (where g.dead), array_agg(g.queue order by g.job_id) filter (where g.dead),
      array_agg(g.attempt order by g.job_id) filter (where g.dead), array_agg(g.traits order by g.job_id) filter (where g.dead)
    into v_jobs, v_queues, v_priorities, v_attempts, v_traits, v_dead, v_dead_queues, v_dead_attempts, v_dead_traits
    from gone g;
    if v_any & 512 <> 0 then
      perform pgqueue._open_gates(array_agg(e.id), array_agg(e.queue), array_agg(e.traits)) from unnest(v_jobs, v_queues, v_traits) e(id, queue, traits) where e.traits & 512 <> 0;
      select array_agg(e.id), array_agg(e.queue), array_agg(e.priority), array_agg(e.attempt), array_agg(e.traits) into v_jobs, v_queues, v_priorities, v_attempts, v_traits
      from unnest(v_jobs, v_queues, v_priorities, v_attempts, v_traits) e(id, queue, priority, attempt, traits) where e.traits & 512 = 0;
    end if;
    perform pgqueue._enter(v_jobs, v_queues, v_priorities, v_attempts, v_traits, false);
    continue when v_dead is null;
    perform pgqueue._finish(array_agg(d.id), array_agg('cancelled'::text), array_agg('parent_failed'::text), array_agg(d.attempt), array_agg(d.traits & ~4096),
      null, null, null, d.forget)
    from (
      select e.id, e.attempt, e.traits, pgqueue._forget((select q.history from pgqueue.queue q where q.name = e.queue)) as forget
      from unnest(v_dead, v_dead_queues, v_dead_attempts, v_dead_traits) e(id, queue, attempt, traits)) d
    group by d.forget;
    v_dead := array(select e.id from unnest(v_dead, v_dead_traits) e(id, traits) where e.traits & 4096 <> 0);
    parents := parents || v_dead;
    states := states || array_fill('cancelled'::text, array[cardinality(v_dead)]);
    lows := lows || array_fill(0::bigint, array[cardinality(v_dead)]);
    highs := highs || array_fill(9223372036854775807, array[cardinality(v_dead)]);
  end loop;
  insert into pgqueue.parent_look (seq, job_id, state, low, high, parked)
  select nextval('pgqueue.job_id'), e.parent, e.state::pgqueue.final_state, e.low, e.high, false from unnest(parents, states, lows, highs) e(parent, state, low, high);
  return v_done;
end $$;
