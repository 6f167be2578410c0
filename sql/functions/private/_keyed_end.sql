-- Ends one item, wherever it stands: takes it out of its lease or from where it waits. False when it is gone. The lease first and the item last, as settles do. `line`: where workers wait for
-- the place it had; an exclusive item, too, has a place of its queue.
create function pgqueue._keyed_end(in item bigint, in state text, in reason text, out ended boolean, out was_active boolean, out worker bigint, out line text)
language plpgsql
as $$
declare
  v_lease pgqueue.lease;
  v_lease_id bigint;
  v_was record;
begin
  for v_look in 1..100 loop
    select i.lease_id, pgqueue._keyed_line(i.queue) into v_lease_id, line from pgqueue.keyed_item i where i.job_id = item;
    ended := found;
    if not ended then
      return;
    end if;
    was_active := v_lease_id is not null;
    if was_active then
      -- Most leases of clients hold one item.
      delete from pgqueue.lease l where l.id = v_lease_id and l.job_ids = array[item] returning l.* into v_lease;
      if found then
        worker := nullif(v_lease.worker_id, 0);
        perform pgqueue._finish(array[item], array[_keyed_end.state], array[_keyed_end.reason], v_lease.attempts, v_lease.traits, null, worker, v_lease.claimed_at, v_lease.forget);
        return;
      end if;
      select l.* into v_lease from pgqueue.lease l where l.id = v_lease_id for update;
      continue when not found or item <> all(v_lease.job_ids);
      perform pgqueue._unlease(v_lease, array[item]);
      worker := nullif(v_lease.worker_id, 0);
      perform pgqueue._finish(array[item], array[_keyed_end.state], array[_keyed_end.reason], array[e.attempt], array[e.traits], null, worker, v_lease.claimed_at, v_lease.forget)
      from unnest(v_lease.job_ids, v_lease.attempts, v_lease.traits) e(id, attempt, traits) where e.id = item;
      return;
    end if;
    select * into v_was from pgqueue._withdraw(item);
    if v_was.place is not null then
      perform pgqueue._finish(array[item], array[_keyed_end.state], array[_keyed_end.reason], array[v_was.attempt], array[v_was.traits], null, null, null,
        pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_was.queue)));
      return;
    end if;
  end loop;
  perform pgqueue._refuse('PQ005', format('item %s keeps moving', item), 'Try again.');
end $$;
