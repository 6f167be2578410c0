-- Items among the jobs of new leases are active from now on, each in a lease of its own: so that whoever executes one can lose it alone. Returns the leases as they are then.
create function pgqueue._keyed_claimed(leases bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_apart bigint[];
  v_items bigint[];
  v_of bigint[];
begin
  if exists (select from pgqueue.lease l where l.id = any(leases) and cardinality(l.job_ids) > 1) then
    with was as (
      delete from pgqueue.lease l where l.id = any(leases) and 0 <> any(select t & 1024 from unnest(l.traits) t)
      returning l.id, l.worker_id, l.claimed_at, l.forget, l.queue, l.job_ids, l.attempts, l.traits),
    apart as (
      insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
      select pgqueue._lease_number(), a.worker_id, a.claimed_at, a.forget, a.queue, a.jobs, a.attempts, a.traits
      from (
        select w.id, w.worker_id, w.claimed_at, w.forget, w.queue, array_agg(e.id order by e.ord) as jobs, array_agg(e.attempt order by e.ord) as attempts,
          array_agg(e.traits order by e.ord) as traits
        from was w cross join lateral unnest(w.job_ids, w.attempts, w.traits) with ordinality e(id, attempt, traits, ord)
        group by w.id, w.worker_id, w.claimed_at, w.forget, w.queue, case when e.traits & 1024 <> 0 then e.ord end
        order by w.id, min(e.ord)) a
      returning id)
    select array_agg(a.id) into v_apart from apart a;
    leases := array(select l.id from pgqueue.lease l where l.id = any(leases || v_apart) order by l.id);
  end if;
  -- By arrays, as in _keyed_waits.
  select array_agg(l.job_ids[1]), array_agg(l.id) into v_items, v_of from pgqueue.lease l where l.id = any(leases) and l.traits[1] & 1024 <> 0;
  update pgqueue.keyed_item i
  set lease_id = v_of[array_position(v_items, i.job_id)], claimed_at = pgqueue._now(), heartbeat_at = pgqueue._now()
  where i.job_id = any(v_items);
  return leases;
end $$;
