-- Gives turns to owners: up to n jobs of a queue leave the line and are made ready, to be taken by the same claim. Returns their addresses in ready. The next turn is
-- for the owner that has had the fewest since the queue was last idle, of those for who came first; inside an owner it is by priority and id. An owner has as many turns
-- at a time as `group_limit` says, and one of them with a script.
--
-- Exact because an owner's row is locked while its turns are counted and given: in one statement, which skips what another claim has locked, and what the lock guards is
-- read in the next, which sees what whoever held it before has committed. So nothing is waited for;
-- a job that is just being cancelled is passed over.
create function pgqueue._pick_turns(queue text, n integer) returns tid[]
language plpgsql
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
as $$
declare
  v_limit integer;
  v_places tid[];
  v_owners text[];
  v_single boolean[];
  v_turns bigint[];
  v_picked tid[];
begin
  select q.group_limit into v_limit from pgqueue.queue q where q.name = _pick_turns.queue;
  select array_agg(p.ctid), array_agg(p.owner), array_agg(p.single), array_agg(p.turns) into v_places, v_owners, v_single, v_turns
  from (
    select t.ctid, t.owner, t.turns, l.traits & 256 <> 0 as single
    from pgqueue.owner_turns t
    cross join lateral (
      select l.traits from pgqueue.line l
      where l.queue = t.queue and l.owner = t.owner order by l.queue, l.owner, l.priority desc, l.job_id limit 1) l
    where t.queue = _pick_turns.queue and case
      when l.traits & 256 <> 0 and exists (select from pgqueue.turn w where w.queue = t.queue and w.owner = t.owner and w.traits & 256 <> 0) then false
      when v_limit is null then true
      else v_limit > (select count(*) from pgqueue.turn w where w.queue = t.queue and w.owner = t.owner) end
    order by t.queue, t.turns, t.arrived
    limit n for no key update of t skip locked) p;
  if v_owners is null then
    return null;
  end if;

  with place as materialized (
    select o.owner, o.turns, o.rank,
      least(case when o.single then 1 else n end, case when v_limit is not null then
        greatest(v_limit - (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = o.owner), 0) end) as free,
      (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = o.owner and w.traits & 256 <> 0) as scripts
    from unnest(v_owners, v_single, v_turns) with ordinality o(owner, single, turns, rank)),
  head as materialized (
    select h.place, p.turns + h.nth as turns, p.rank, h.nth
    from place p
    cross join lateral (
      select l.place, row_number() over w as nth, count(*) filter (where l.traits & 256 <> 0) over w as scripts, l.traits
      from (
        select l.ctid as place, l.job_id, l.priority, l.traits from pgqueue.line l
        where l.queue = _pick_turns.queue and l.owner = p.owner
        order by l.queue, l.owner, l.priority desc, l.job_id limit least(p.free, n)) l
      window w as (order by l.priority desc, l.job_id)) h
    where h.traits & 256 = 0 or p.scripts + h.scripts = 1),
  gone as (
    delete from pgqueue.line l
    where l.ctid = any(array(
      select l.ctid from pgqueue.line l
      where l.ctid = any(array(select h.place from head h order by h.turns, h.rank, h.nth limit n)) for update skip locked))
    returning l.job_id, l.traits, l.priority, l.attempt, l.owner),
  given as (
    insert into pgqueue.turn (job_id, traits, queue, owner) select g.job_id, g.traits, _pick_turns.queue, g.owner from gone g),
  counted as (
    update pgqueue.owner_turns t set turns = t.turns + (select count(*) from gone g where g.owner = t.owner) where t.ctid = any(v_places)),
  made as (
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select nextval('pgqueue.job_id'), g.job_id, g.traits, g.priority, g.attempt, _pick_turns.queue
    from gone g
    returning ctid)
  select array_agg(m.ctid) into v_picked from made m;
  return v_picked;
end $$;
