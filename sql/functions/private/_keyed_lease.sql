-- A lease of a client's: no worker has it, so nobody's heartbeat counts but the item's own. `line` is that of the keyed queue, also for an exclusive item: its place is one of that queue's, where
-- workers' claims count it. Always true.
create function pgqueue._keyed_lease(item bigint, attempt smallint, traits integer, line text, forget smallint) returns boolean
language plpgsql
as $$
declare
  v_lease bigint;
  v_rated boolean;
begin
  with held as (
    insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
    values (pgqueue._lease_number(), 0, pgqueue._now(), _keyed_lease.forget, line, array[item], array[_keyed_lease.attempt + 1]::smallint[], array[_keyed_lease.traits])
    returning id, claimed_at)
  update pgqueue.keyed_item i
  set lease_id = (select h.id from held h), claimed_at = (select h.claimed_at from held h), heartbeat_at = (select h.claimed_at from held h)
  where i.job_id = item
  returning i.lease_id, (select q.rate_limit from pgqueue.queue q where q.name = line) is not null into v_lease, v_rated;
  if v_rated then
    perform pgqueue._starts(array[v_lease]);
  end if;
  return true;
end $$;
