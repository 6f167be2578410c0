-- Owners whose rate has room again by a time take turns again. Nothing is waited for: what is locked is just being changed by a user, who may
-- yet roll back, or forgotten by another claim: it is looked at a second later.
create function pgqueue._wake_owners(queue text, owners text[], now_ timestamptz) returns void
language sql
as $$
  update pgqueue.owner_turns t set until = null
  where t.ctid = any(array(
    select t.ctid
    from (select o from unnest(owners) o offset 0) w
    cross join lateral (
      select t.ctid from pgqueue.owner_turns t
      where t.queue = $1 and t.owner = w.o and t.until <= now_ for no key update skip locked) t));
  insert into pgqueue.group_wait (at, queue, group_key)
  select now_ + interval '1 second', $1, w.o
  from (select o from unnest(owners) o offset 0) w
  where exists (select from pgqueue.owner_turns t where t.queue = $1 and t.owner = w.o and t.until <= now_);
$$;
