-- Locks an item that was found to be stalled, or orphaned, where it stands, if it still stands there, is so still, and nobody else has it: claims, acks and other reapers are left to
-- finish what they do. (The lease in a form that no partial index answers to: the item is found by its id.) The last look is the one that counts: by its lock a heartbeat has come before, and is seen, or finds the item gone.
create function pgqueue._keyed_at_hand(item bigint, why text, heartbeat_ms bigint, orphan_ms bigint) returns boolean
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
begin
  if why = 'stalled' then
    perform from pgqueue.lease l
    where l.id = (select i.lease_id from pgqueue.keyed_item i where i.job_id = item) and l.job_ids @> array[item] for update skip locked;
    if found then
      perform from pgqueue.keyed_item i
      where i.job_id = item and coalesce(i.lease_id, 0) <> 0
        and greatest(i.heartbeat_at, (
          select w.heartbeat_at from pgqueue.worker w where w.id = (select l.worker_id from pgqueue.lease l where l.id = i.lease_id))) < v_now - pgqueue._ms(heartbeat_ms)
      for update of i skip locked;
    end if;
    return found;
  end if;
  perform from pgqueue.ready r where r.ctid = (select p.place from pgqueue._in_ready(item) p) and r.job_id = item for update skip locked;
  if not found then
    perform from pgqueue.suspect s where s.job_id = item for update skip locked;
  end if;
  if not found then
    perform from pgqueue.scheduled s where s.job_id = item for update skip locked;
  end if;
  if found then
    perform from pgqueue.keyed_item i
    where i.job_id = item and coalesce(i.lease_id, 0) = 0
      and coalesce(i.orphan_at, i.created_at + pgqueue._ms(orphan_ms)) < v_now
      and coalesce((
        select max(coalesce(r.orphan_at, r.at + pgqueue._ms(orphan_ms))) from pgqueue.keyed_request r where r.job_id = i.job_id) < v_now, true)
    for update of i skip locked;
  end if;
  return found;
end $$;
