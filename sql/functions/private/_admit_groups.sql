-- Admission to groups, all of them in one statement: free slots go to whoever is first by priority and turn among the blocked and the first `per` arrivals of
-- each group. Exact because it happens under the groups' advisory locks, which are only ever tried, in order: another session that holds one will
-- do the same work, and the group is among those `passed` over. Without a limit there is nothing to be exact about, and nothing is locked.
--
-- Jobs whose owners take turns go on to `line`, whatever the limit: see _pick_turns. `locked` says that there may be some: then the locks are taken in any case, so that no two
-- claims make the same owner known.
--
-- In a queue that is `counted` a group's places are what _places says; those who have waited and kept their slot for it (state 4) come before all others of their group, and take no further slot. What
-- is admitted there has trait 16384: its start is to be noted. Where groups take turns they are admitted in the order in which they are named: that of
-- the starts before, so that who was first is first again.
--
-- A group's arrivals are asked for as a range of one key, so that the order names the whole of the group's index; and sorting and bitmaps are disabled, so that
-- no other index gives it. For one key alone the index by turn has the order as well, and walks the arrivals of the whole queue for each group.
create function pgqueue._admit_groups(
  in queue text,
  in groups text[],
  in per integer,
  in locked boolean,
  out admitted integer,
  out passed text[])
language plpgsql
set enable_bitmapscan = off
set enable_sort = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_limit integer;
  v_settings pgqueue.queue;
  v_mine text[] := groups;
  v_jobs bigint[];
  v_priorities smallint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  select * into v_settings from pgqueue.queue q where q.name = _admit_groups.queue;
  v_limit := v_settings.group_limit;
  if v_limit is not null or v_settings.counted or locked then
    v_mine := array(
      select g.key from (select g.key from unnest(groups) g(key) order by g.key) g
      where pg_try_advisory_xact_lock(pgqueue._lock_class('group'), hashtext(_admit_groups.queue || E'\x1f' || g.key)));
    if cardinality(v_mine) < cardinality(groups) then
      passed := array(select g.key from unnest(groups) g(key) where g.key <> all(v_mine));
    end if;
  end if;

  if locked then
    -- An owner that is known stays known until the end of this claim: see _forget_owners. Those that are not are made known below.
    perform from pgqueue.owner_turns t where t.queue = _admit_groups.queue and t.owner = any(v_mine) order by t.queue, t.owner for key share;
  end if;
  with free as materialized (
    select g.key, case when v_settings.counted then pgqueue._places(v_settings, g.key, v_now) when v_limit is null then 2147483647 else greatest(v_limit - (
      select count(*)
      from (select from pgqueue.slot s where s.queue = _admit_groups.queue and s.group_key = g.key limit v_limit) s), 0) end as slots,
      case when v_settings.counted then array(
        select s.job_id from pgqueue.slot s where s.queue = _admit_groups.queue and s.group_key = g.key and s.state = 4 order by s.queue, s.group_key) end as own
    from unnest(v_mine) g(key)),
  arrived as (
    delete from pgqueue.arrival a
    where a.ctid = any(array(
      select a.ctid
      from free f
      cross join lateral (
        select a.ctid from pgqueue.arrival a
        where a.queue = _admit_groups.queue and a.group_key between f.key and f.key
        order by a.queue, a.group_key, a.seq limit per for update skip locked) a))
    returning a.seq, a.job_id, a.traits, a.priority, a.attempt, a.group_key),
  standing as (
    delete from pgqueue.blocked b
    where b.ctid = any(array(
      select b.ctid
      from free f
      cross join lateral (
        select b.ctid from pgqueue.blocked b
        where b.queue = _admit_groups.queue and b.group_key = f.key
        order by b.priority desc, b.seq limit least(f.slots, per) for update skip locked) b)
      || array(select b.ctid from pgqueue.blocked b where b.job_id = any(array(select o from free f cross join unnest(f.own) o)) for update skip locked))
    returning b.seq, b.job_id, b.traits, b.priority, b.attempt, b.group_key),
  lined as (
    insert into pgqueue.line (job_id, traits, priority, attempt, queue, owner)
    select a.job_id, a.traits, a.priority, a.attempt, _admit_groups.queue, a.group_key from arrived a where a.traits & 128 <> 0),
  owners as (
    insert into pgqueue.owner_turns (queue, owner, turns, arrived)
    select _admit_groups.queue, a.group_key, 0, min(a.job_id) from arrived a where a.traits & 128 <> 0 group by a.group_key order by a.group_key
    on conflict (queue, owner) do nothing),
  ranked as materialized (
    select w.*, coalesce(w.job_id = any(f.own), false) as returns,
      row_number() over (partition by w.group_key, coalesce(w.job_id = any(f.own), false) order by w.priority desc, w.seq)
        + case when w.job_id = any(f.own) then 0 else coalesce(cardinality(f.own), 0) end <= f.slots as fits
    from (select * from arrived where job_id is not null and traits & 128 = 0 union all select * from standing) w
    join free f on f.key = w.group_key),
  kept as (
    insert into pgqueue.blocked (seq, job_id, traits, priority, attempt, queue, group_key)
    select r.seq, r.job_id, r.traits, r.priority, r.attempt, _admit_groups.queue, r.group_key from ranked r where not r.fits),
  taken as (
    insert into pgqueue.slot (job_id, queue, group_key)
    select r.job_id, _admit_groups.queue, r.group_key from ranked r where r.fits and not r.returns),
  back as (
    update pgqueue.slot s set state = 0 where s.job_id = any(array(select r.job_id from ranked r where r.fits and r.returns)))
  select array_agg(r.job_id), array_agg(r.priority), array_agg(r.attempt), array_agg(case when v_settings.counted then r.traits | 16384 else r.traits end)
  into v_jobs, v_priorities, v_attempts, v_traits
  from (
    select * from ranked where fits
    order by priority desc, case when v_settings.fair then array_position(groups, group_key) end, seq) r;

  admitted := coalesce(cardinality(v_jobs), 0);
  if admitted > 0 then
    perform pgqueue._enter(v_jobs, array_fill(_admit_groups.queue, array[admitted]), v_priorities, v_attempts, v_traits, true);
  end if;
  if v_settings.counted then
    if v_settings.group_rate_limit is not null or v_settings.own_groups then
      perform pgqueue._wake_owners(queue, v_mine, v_now);
    end if;
    perform pgqueue._groups_wait(v_settings, v_mine, v_now);
  end if;
end $$;
