-- Gives turns to owners: up to n jobs of a queue leave the line and are made ready, to be taken by the same claim. Returns their addresses in ready. The next turn is
-- for the owner that has had the fewest since the queue was last idle, of those for who came first; inside an owner it is by priority and id. An owner has as many turns
-- at a time as `group_limit` says, and one of them with a script.
--
-- Turns are counted in millionths: one of an owner with weight w costs the w-th part of a turn, and what the division leaves over is kept for the next. So after any number of turns
-- the shares are exact, for each weight; and a weight that is changed counts for the turns from then on, as what has been had is not counted anew.
--
-- Exact because an owner's row is locked while its turns are counted and given: in one statement, which skips what another claim has locked, and what the lock guards is
-- read in the next, which sees what whoever held it before has committed. So nothing is waited for;
-- a job that is just being cancelled is passed over.
--
-- An owner with a rate that is used up sleeps: it is out of the index in which the next are looked up until the first of its starts leaves the window, when upkeep has it looked at again
-- (_duty_rates, _admit_groups). So owners that may not start anything are not looked at by each claim, however many they are. What has its turn and has not been noted as a start
-- yet has trait 16384 in `turn`.
create function pgqueue._pick_turns(queue text, n integer) returns tid[]
language plpgsql
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
as $$
declare
  c_turn constant bigint := 1000000;
  v_limit integer;
  v_own boolean;
  v_rate integer;
  v_period interval;
  v_now timestamptz;
  v_places tid[];
  v_owners text[];
  v_single boolean[];
  v_turns bigint[];
  v_rests bigint[];
  v_picked tid[];
  v_most integer := n;
  v_tried text[] := array[]::text[];
begin
  select q.group_limit, q.own_groups, q.group_rate_limit, coalesce(q.group_rate_period, '1 second') into v_limit, v_own, v_rate, v_period
  from pgqueue.queue q where q.name = _pick_turns.queue;
  v_own := coalesce(v_own, false);
  -- Another round, with more owners, only when all it found were put to sleep, or have jobs at the head that others have locked: a cancel in an open transaction is not to keep the turns of everybody.
  for v_round in 1..1000 loop
    select array_agg(p.ctid), array_agg(p.owner), array_agg(p.single), array_agg(p.turns), array_agg(p.rest) into v_places, v_owners, v_single, v_turns, v_rests
    from (
      select t.ctid, t.owner, t.turns, t.rest, l.traits & 256 <> 0 as single
      from pgqueue.owner_turns t
      cross join lateral (
        select l.traits from pgqueue.line l
        where l.queue = t.queue and l.owner = t.owner order by l.queue, l.owner, l.priority desc, l.job_id limit 1) l
      where t.queue = _pick_turns.queue and t.until is null and t.owner <> all(v_tried) and case
        when l.traits & 256 <> 0 and exists (select from pgqueue.turn w where w.queue = t.queue and w.owner = t.owner and w.traits & 256 <> 0) then false
        when v_limit is null and not v_own then true
        else coalesce(
          coalesce(case when v_own then (select g.group_limit from pgqueue.group_setting g where g.queue = t.queue and g.group_key = t.owner) end, v_limit)
            > (select count(*) from pgqueue.turn w where w.queue = t.queue and w.owner = t.owner), true) end
      order by t.queue, t.turns, t.arrived
      limit v_most for no key update of t skip locked) p;
    if v_owners is null then
      return null;
    end if;

    v_now := pgqueue._now();
    with known as materialized (
      select o.owner, o.single, o.turns, o.rest, o.rank, o.place,
        case when v_own then (select g from pgqueue.group_setting g where g.queue = _pick_turns.queue and g.group_key = o.owner) end as own
      from unnest(v_owners, v_single, v_turns, v_rests, v_places) with ordinality o(owner, single, turns, rest, place, rank)),
    place as materialized (
      select k.owner, k.turns, k.rest, k.rank, k.place, coalesce((k.own).weight, 1) as weight, r.room, r.first + r.period as due,
        least(case when k.single then 1 else n end, r.room, case when coalesce((k.own).group_limit, v_limit) is not null then
          greatest(coalesce((k.own).group_limit, v_limit)
            - (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = k.owner), 0) end) as free,
        (select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = k.owner and w.traits & 256 <> 0) as scripts
      from known k
      cross join lateral (
        select s.period, case when s.rate is not null then greatest(s.rate - (
            select coalesce(sum(g.jobs), 0) from pgqueue.group_start g
            where g.queue = _pick_turns.queue and g.group_key = k.owner and g.started_at > v_now - s.period) - (
            select count(*) from pgqueue.turn w where w.queue = _pick_turns.queue and w.owner = k.owner and w.traits & 16384 <> 0), 0) end as room,
          case when s.rate is not null then coalesce((
            select g.started_at from pgqueue.group_start g
            where g.queue = _pick_turns.queue and g.group_key = k.owner and g.started_at > v_now - s.period
            order by g.queue, g.group_key, g.started_at limit 1), v_now) end as first
        from (select coalesce((k.own).rate_limit, v_rate) as rate, coalesce((k.own).rate_period, v_period) as period offset 0) s offset 0) r),
    head as materialized (
      select h.place, p.turns + (p.rest + (h.nth - 1) * c_turn) / p.weight as turns, p.rank, h.nth
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
      returning l.job_id, l.traits & ~16384 as traits, l.priority, l.attempt, l.owner),
    noted as materialized (
      select g.job_id, g.priority, g.attempt, g.owner,
        g.traits | case when (v_rate is not null or v_own) and (select p.room from place p where p.owner = g.owner) is not null then 16384 else 0 end as traits
      from gone g),
    given as (
      insert into pgqueue.turn (job_id, traits, queue, owner) select g.job_id, g.traits, _pick_turns.queue, g.owner from noted g),
    counted as materialized (
      select p.place, p.owner, p.weight, p.rest + c_turn * g.jobs as rest,
        case when p.room <= g.jobs then p.due end as until
      from place p
      cross join lateral (select count(*) as jobs from gone g where g.owner = p.owner) g),
    changed as (
      update pgqueue.owner_turns t set turns = t.turns + c.rest / c.weight, rest = c.rest % c.weight, until = c.until
      from counted c where t.ctid = c.place),
    asleep as (
      insert into pgqueue.group_wait (at, queue, group_key) select c.until, _pick_turns.queue, c.owner from counted c where c.until is not null),
    made as (
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      select nextval('pgqueue.job_id'), g.job_id, g.traits, g.priority, g.attempt, _pick_turns.queue
      from noted g
      returning ctid)
    select array_agg(m.ctid) into v_picked from made m;
    exit when v_picked is not null;
    v_tried := v_tried || v_owners;
    v_most := greatest(least(4 * v_most, 1000), n);
  end loop;
  return v_picked;
end $$;
