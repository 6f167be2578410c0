-- Forgets how many turns the owners of an idle queue have had. Their rows are locked first and the line is looked at after that: an admission that comes in between
-- holds its owner's row. Called at the end of a claim, which waits for nothing any more: so whoever waits for these rows waits for no circle.
create function pgqueue._forget_owners(queue text) returns void
language plpgsql
as $$
declare
  v_idle tid[];
begin
  if pgqueue._line_waits(queue) or not exists (select from pgqueue.owner_turns t where t.queue = _forget_owners.queue) then
    return;
  end if;
  v_idle := array(
    select t.ctid from pgqueue.owner_turns t where t.queue = _forget_owners.queue order by t.queue, t.owner limit 1000 for update skip locked);
  delete from pgqueue.owner_turns t
  where t.ctid = any(v_idle) and not pgqueue._line_waits(_forget_owners.queue)
    and not exists (select from pgqueue.turn w where w.queue = _forget_owners.queue);
end $$;
