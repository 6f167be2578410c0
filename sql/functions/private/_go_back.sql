-- Jobs that were started and go back to their queue at once, by a release or after a crash. They keep the slot of their group; where starts are counted, so is each further one: there they give it up and
-- arrive anew, or, in strict order, keep it and are admitted before all others. The arrays are parallel.
create function pgqueue._go_back(jobs bigint[], queues text[], priorities smallint[], attempts smallint[], traits integer[]) returns void
language plpgsql
as $$
declare
  v_counted bigint[];
  v_free bigint[];
  v_part record;
begin
  if coalesce(cardinality(jobs), 0) = 0 then
    return;
  end if;
  if 0 <> any(select t & 2 from unnest(_go_back.traits) t where t & 128 = 0) then
    v_counted := array(
      select e.id from unnest(jobs, queues, _go_back.traits) e(id, queue, traits)
      where e.traits & 130 = 2 and (select q.counted from pgqueue.queue q where q.name = e.queue));
  end if;
  if coalesce(cardinality(v_counted), 0) = 0 then
    perform pgqueue._enter(jobs, queues, priorities, attempts, array(
      select e.traits & ~16384 from unnest(_go_back.traits) with ordinality e(traits, ord) order by e.ord), true);
    return;
  end if;
  v_free := array(
    select e.id from unnest(jobs, queues) e(id, queue)
    where e.id = any(v_counted) and (select q.group_order from pgqueue.queue q where q.name = e.queue) is distinct from 'strict');
  for v_part in
    select p.counted, array_agg(p.id order by p.ord) as jobs, array_agg(p.queue order by p.ord) as queues, array_agg(p.priority order by p.ord) as priorities,
      array_agg(p.attempt order by p.ord) as attempts, array_agg(p.traits order by p.ord) as traits
    from (
      select e.id, e.queue, e.priority, e.attempt, e.ord, e.id = any(v_counted) as counted,
        e.traits & ~16384 | case when e.id = any(v_counted) and e.id <> all(v_free) then 32768 else 0 end as traits
      from unnest(jobs, queues, priorities, attempts, _go_back.traits) with ordinality e(id, queue, priority, attempt, traits, ord)) p
    group by p.counted
  loop
    perform pgqueue._enter(v_part.jobs, v_part.queues, v_part.priorities, v_part.attempts, v_part.traits, not v_part.counted);
  end loop;
  perform pgqueue._free_slots(v_free);
end $$;
