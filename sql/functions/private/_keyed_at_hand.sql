-- Locks an item that was found to be stalled, or orphaned, where it stands, if it still stands there and nobody else has it: claims, acks and other reapers are left to
-- finish what they do.
create function pgqueue._keyed_at_hand(item bigint, why text) returns boolean
language plpgsql
as $$
begin
  if why = 'stalled' then
    perform from pgqueue.lease l
    where l.id = (select i.lease_id from pgqueue.keyed_item i where i.job_id = item) and l.job_ids @> array[item] for update skip locked;
  elsif exists (select from pgqueue._in_ready(item)) then
    perform from pgqueue.ready r where r.ctid = (select p.place from pgqueue._in_ready(item) p) and r.job_id = item for update skip locked;
  else
    perform from pgqueue.keyed_item i where i.job_id = item and i.lease_id is null;
  end if;
  return found;
end $$;
