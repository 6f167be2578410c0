-- Ends gates whose batches need wait for nobody any more, and whom nobody else has locked. Those who wait for a gate are told by upkeep: a chain of them would go deep here.
create function pgqueue._open_gates(gates bigint[], queues text[], traits integer[]) returns void
language plpgsql
as $$
begin
  insert into pgqueue.parent_look (seq, job_id, state, low, high, parked)
  select nextval('pgqueue.job_id'), e.id, 'succeeded', 0, 9223372036854775807, false from unnest(gates, _open_gates.traits) e(id, traits) where e.traits & 4096 <> 0;
  perform pgqueue._finish(array_agg(g.id order by g.id), null, null, array_agg(0::smallint), array_agg(g.traits & ~4096 order by g.id), null, null, null, g.forget)
  from (
    select e.id, e.traits, pgqueue._forget((select q.history from pgqueue.queue q where q.name = e.queue)) as forget
    from unnest(gates, queues, _open_gates.traits) e(id, queue, traits)) g
  group by g.forget;
end $$;
