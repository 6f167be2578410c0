-- Of groups that have just lost slots, those whose blocked jobs have to be looked at by whoever took the slots away. Those of which nobody is blocked have theirs in the inbox, if any, in front of
-- everybody: claims find them in the order in which all have come, and admit a hundred groups as cheaply as one. Certain only under a group's lock: a claim that holds it may be putting jobs
-- aside for want of the very slot that is given up here. Such groups are asked to be looked at again, as in _admit_or_ask.
create function pgqueue._groups_behind(queue text, groups text[]) returns text[]
language plpgsql
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
  v_mine text[] := array(
    select g.key from (select g.key from unnest(groups) g(key) order by g.key) g
    where pg_try_advisory_xact_lock(pgqueue._lock_class('group'), hashtext(_groups_behind.queue || E'\x1f' || g.key)));
begin
  if cardinality(v_mine) < cardinality(groups) then
    insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
    select nextval('pgqueue.job_id'), 0, 0, 0, _groups_behind.queue, g.key from unnest(groups) g(key) where g.key <> all(v_mine);
  end if;
  if not pgqueue._nobody_sleeps(queue) then
    -- A worker that went to sleep has looked at the inbox, and wakes for what comes into it; so this is for one whose last look was cut short.
    perform from pgqueue.arrival a where a.queue = _groups_behind.queue order by a.queue, a.seq limit 1;
    if found then
      perform pgqueue._wake(queue);
    end if;
  end if;
  return array(
    select m.key from unnest(v_mine) m(key)
    where (
      select b.job_id from pgqueue.blocked b
      where b.queue = _groups_behind.queue and b.group_key = m.key order by b.queue, b.group_key, b.priority desc, b.seq limit 1) is not null);
end $$;
