-- Gives turns to owners: up to n jobs of a queue leave the line and are made ready, to be taken by the same claim. Returns their addresses in ready. The next turn is
-- for the owner that has had the fewest since the queue was last idle, of those for who came first; inside an owner it is by priority and id. A script's owner has one
-- turn at a time, others as many as `group_limit` says.
--
-- Exact because it happens under the owners' advisory locks, the same that admission takes. They are tried, in one statement, and what they guard is read in the next,
-- which sees what whoever held them before has committed. An owner that another claim is busy with is passed over.
--
-- An owner without anybody in line costs a probe, so all are forgotten when the queue is idle. Their rows are locked first and the line is looked at after that: an
-- admission that comes in between has locked its owner's row.
create function pgqueue._pick_turns(queue text, n integer) returns tid[]
language plpgsql
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  v_limit integer;
  v_owners text[];
  v_idle tid[];
  v_picked tid[];
begin
  if not exists (select from pgqueue.line l where l.queue = _pick_turns.queue) then
    if exists (select from pgqueue.owner_turns t where t.queue = _pick_turns.queue) then
      v_idle := array(select t.ctid from pgqueue.owner_turns t where t.queue = _pick_turns.queue order by t.queue, t.owner for update skip locked);
      delete from pgqueue.owner_turns t
      where t.ctid = any(v_idle) and not exists (select from pgqueue.line l where l.queue = _pick_turns.queue)
        and not exists (select from pgqueue.turn w where w.queue = _pick_turns.queue);
    end if;
    return null;
  end if;
  select q.group_limit into v_limit from pgqueue.queue q where q.name = _pick_turns.queue;
  v_owners := array(
    select o.owner
    from (
      select t.owner
      from (select t.owner from pgqueue.owner_turns t where t.queue = _pick_turns.queue order by t.queue, t.turns, t.arrived) t
      cross join lateral (
        select l.traits from pgqueue.line l
        where l.queue = _pick_turns.queue and l.owner = t.owner order by l.queue, l.owner, l.priority desc, l.job_id limit 1) l
      where case
        when l.traits & 256 <> 0 then not exists (select from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = t.owner and w.traits & 256 <> 0)
        when v_limit is null then true
        else v_limit > (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = t.owner) end
      offset 0) o
    where pg_try_advisory_xact_lock(pgqueue._lock_class('group'), hashtext(_pick_turns.queue || E'\x1f' || o.owner))
    limit n);
  if cardinality(v_owners) = 0 then
    return null;
  end if;

  with place as materialized (
    select o.owner, t.turns, t.arrived,
      case when v_limit is null then n
        else greatest(v_limit - (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = o.owner), 0) end as free,
      (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = o.owner and w.traits & 256 <> 0) as scripts
    from unnest(v_owners) o(owner)
    cross join lateral (
      select t.turns, t.arrived from pgqueue.owner_turns t where t.queue = _pick_turns.queue and t.owner = o.owner offset 0) t),
  head as materialized (
    select h.place, h.job_id, p.turns + h.nth as turns, p.arrived
    from place p
    cross join lateral (
      select l.place, l.job_id, row_number() over w as nth, count(*) filter (where l.traits & 256 <> 0) over w as scripts, l.traits
      from (
        select l.ctid as place, l.job_id, l.priority, l.traits from pgqueue.line l
        where l.queue = _pick_turns.queue and l.owner = p.owner
        order by l.queue, l.owner, l.priority desc, l.job_id limit least(p.free, n) for update skip locked) l
      window w as (order by l.priority desc, l.job_id)) h
    where h.traits & 256 = 0 or p.scripts + h.scripts = 1),
  gone as (
    delete from pgqueue.line l
    where l.ctid = any(array(select h.place from head h order by h.turns, h.arrived, h.job_id limit n))
    returning l.job_id, l.traits, l.priority, l.attempt, l.owner),
  given as (
    insert into pgqueue.turn (job_id, traits, queue, owner) select g.job_id, g.traits, _pick_turns.queue, g.owner from gone g),
  counted as (
    update pgqueue.owner_turns t set turns = t.turns + (select count(*) from gone g where g.owner = t.owner)
    where t.queue = _pick_turns.queue and t.owner = any(array(select g.owner from gone g))),
  made as (
    insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
    select nextval('pgqueue.job_id'), g.job_id, g.traits, g.priority, g.attempt, _pick_turns.queue
    from (select g.* from gone g join head h on h.job_id = g.job_id order by h.turns, h.arrived, h.job_id) g
    returning ctid)
  select array_agg(m.ctid) into v_picked from made m;
  return v_picked;
end $$;
