-- Refuses elements of one call that wait for each other in a circle. One that is before all it is waited for by is in no circle, so usually one look is enough; else those that wait for
-- nobody are taken away, and those that then wait for nobody, and so on: what remains is, or waits for, a circle. Each arrow is followed once.
create function pgqueue._refuse_circle(jobs pgqueue.new_job[]) returns void
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
as $$
declare
  v_count integer := cardinality(jobs);
  v_parents integer[];
  v_children integer[];
  v_first integer[];
  v_waits integer[];
  v_free integer[];
  v_at integer := 1;
  v_child integer;
begin
  with element as materialized (
    select e.ord::integer as ord, e.refs, e.ref
    from unnest(jobs) with ordinality e(id, kind, args, queue, priority, due, unique_key, group_key, max_attempts, timeout, expires_at, heartbeat, backoff,
      headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success, on_error, ref, ord))
  select array_agg(a.parent order by a.parent, a.child), array_agg(a.child order by a.parent, a.child) into v_parents, v_children
  from (
    select distinct p.ord as parent, c.ord as child from element c cross join lateral unnest(c.refs) r(ref) join element p on p.ref = r.ref) a;
  if v_parents is null or not exists (select from unnest(v_parents, v_children) a(parent, child) where a.parent >= a.child) then
    return;
  end if;
  -- Where the arrows of each element begin, how many end at it, and those at which none does.
  v_first := array_fill(0, array[v_count + 1]);
  v_waits := array_fill(0, array[v_count]);
  for i in reverse cardinality(v_parents)..1 loop
    v_first[v_parents[i]] := i;
    v_waits[v_children[i]] := v_waits[v_children[i]] + 1;
  end loop;
  v_free := array(select w.ord::integer from unnest(v_waits) with ordinality w(waits, ord) where w.waits = 0 order by w.ord);
  while v_at <= cardinality(v_free) loop
    for i in v_first[v_free[v_at]]..cardinality(v_parents) loop
      exit when i = 0 or v_parents[i] <> v_free[v_at];
      v_child := v_children[i];
      v_waits[v_child] := v_waits[v_child] - 1;
      if v_waits[v_child] = 0 then
        v_free[cardinality(v_free) + 1] := v_child;
      end if;
    end loop;
    v_at := v_at + 1;
  end loop;
  if cardinality(v_free) < v_count then
    perform pgqueue._refuse('PQ001', format('element %s waits for itself, through its refs', array_position(array(select w > 0 from unnest(v_waits) with ordinality u(w, ord) order by ord), true)),
      'Jobs cannot wait for each other in a circle: leave one of the refs out.');
  end if;
end $$;
