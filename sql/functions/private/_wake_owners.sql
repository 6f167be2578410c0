-- Owners whose rate has room again by a time take turns again. Nothing is waited for: what is locked is just being looked at by another claim, or changed by a user, who lets all of them be looked at.
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
$$;
