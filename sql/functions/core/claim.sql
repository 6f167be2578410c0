-- Takes up to n jobs for a worker: by priority over all the queues, in turn within a lane, skipping what others have locked. Deletes them from ready by
-- row address, an array of them: a join or an IN would be planned from statistics that are always stale here. One lease row per queue, however
-- many jobs. The plans are pinned for the same reason: no sequential or bitmap scan of a table whose dead rows nobody may remove,
-- no nested loop over arrays.
--
-- Locks: the jobs taken (skip locked), groups (only tried), and, for queues with max_running, the queue's limiter.
create function pgqueue.claim(
  worker bigint,
  queues text[],
  n integer default 1,
  urgent boolean default false)
returns table (
  lease bigint,
  id bigint,
  queue text,
  kind text,
  args jsonb,
  attempt integer,
  max_attempts integer,
  priority integer,
  timeout interval,
  heartbeat interval,
  headers jsonb,
  group_key text,
  unique_key text,
  crashes integer,
  created_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set jit = off
set enable_bitmapscan = off
set enable_nestloop = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_clock float8 := extract(epoch from clock_timestamp());
  v_lane record;
  v_cursor record;
  v_start float8;
  v_need integer;
  v_left integer := n;
  v_picked tid[];
  v_more tid[];
  v_older tid[];
  v_first bigint;
  v_room jsonb := jsonb_build_object();
  v_admitted text[];
  v_settings boolean := false;
  v_forget smallint;
  v_jobs bigint[];
  v_queues text[];
  v_spent smallint;
  v_lanes integer := 0;
  v_queue text;
  v_mixed boolean := false;
  v_attempts smallint[];
  v_traits integer[];
  v_any integer;
  v_leases bigint[];
  v_low bigint;
  v_high bigint;
begin
  perform pgqueue._check_claim(worker, queues, n);
  -- All of them now and in one order: claims that see other lanes would meet them in another, and deadlock.
  perform from pgqueue.limiter l where l.queue = any(queues) order by l.queue for no key update;
  if exists (select from pgqueue.suspect s where s.queue = any(queues)) then
    v_leases := array[pgqueue._claim_suspect(worker, queues)];
  end if;

  if v_leases[1] is null then
    for v_lane in
      select l.queue, l.priority, bool_or(l.grouped) as grouped, q.paused_at, q.max_running, q.history,
        q.timeout is not null or q.max_attempts is not null as special
      from pgqueue.lane l left join pgqueue.queue q on q.name = l.queue
      where l.queue = any(queues)
      group by l.queue, l.priority, q.name
      order by l.priority desc, array_position(queues, l.queue)
    loop
      continue when v_lane.paused_at is not null;
      v_settings := v_settings or coalesce(v_lane.special, false);
      v_need := v_left;
      if v_lane.max_running is not null then
        if not v_room ? v_lane.queue then
          v_room := v_room || jsonb_build_object(v_lane.queue, pgqueue._room(v_lane.queue, v_lane.max_running));
        end if;
        v_need := least(v_need, (v_room ->> v_lane.queue)::integer);
        continue when v_need <= 0;
      end if;
      if v_lane.grouped and v_lane.queue <> all(coalesce(v_admitted, '{}')) then
        perform pgqueue._admit(v_lane.queue, least(greatest(2 * v_need, 100), 1000));
        v_admitted := v_admitted || v_lane.queue;
      end if;

      -- From the cursor first. A sweep from the start follows when the cursor has expired, so that what was committed late with an earlier turn is
      -- found, and goes first when full scans from the cursor would put it off for ever. Who is urgent sweeps only for want of anything else.
      select * into v_cursor from pgqueue._cursor('ready', v_lane.queue, v_lane.priority);
      v_older := null;
      v_more := null;
      v_start := null;
      if not urgent and v_clock > v_cursor.expires + 1 then
        v_start := extract(epoch from clock_timestamp());
        v_more := array(
          select r.ctid from pgqueue.ready r
          where r.queue = v_lane.queue and r.priority = v_lane.priority
          order by r.seq limit v_need for update skip locked);
      else
        v_more := array(
          select r.ctid from pgqueue.ready r
          where r.queue = v_lane.queue and r.priority = v_lane.priority and r.seq >= v_cursor.floor
          order by r.seq limit v_need for update skip locked);
        if v_cursor.floor > 0 and cardinality(v_more) < v_need and (
          cardinality(v_more) = 0 and urgent or not urgent and v_clock > v_cursor.expires) then
          v_start := extract(epoch from clock_timestamp());
          v_older := array(
            select r.ctid from pgqueue.ready r
            where r.queue = v_lane.queue and r.priority = v_lane.priority and r.seq < v_cursor.floor
            order by r.seq limit v_need - cardinality(v_more) for update skip locked);
        end if;
      end if;
      v_first := null;
      if cardinality(v_more) > 0 then
        select r.seq into v_first from pgqueue.ready r where r.ctid = v_more[1];
      end if;
      if v_first is not null or v_start is not null then
        perform pgqueue._set_cursor('ready', v_lane.queue, v_lane.priority, v_first, v_start, v_cursor.expires);
      end if;
      if v_older is not null then
        v_more := v_older || v_more;
      end if;
      if cardinality(v_more) > 0 then
        v_mixed := v_mixed or coalesce(v_lane.queue <> v_queue, false);
        v_lanes := v_lanes + 1;
        v_queue := v_lane.queue;
        v_forget := pgqueue._forget(v_lane.history);
      end if;
      v_picked := v_picked || v_more;
      v_left := v_left - cardinality(v_more);
      if v_lane.max_running is not null then
        v_room := v_room || jsonb_build_object(v_lane.queue, (v_room ->> v_lane.queue)::integer - cardinality(v_more));
      end if;
      exit when v_left <= 0;
    end loop;
    if coalesce(cardinality(v_picked), 0) = 0 then
      return;
    end if;

    with taken as (
      delete from pgqueue.ready r where r.ctid = any(v_picked)
      returning r.seq, r.job_id, r.queue, r.priority, r.attempt, r.traits)
    select array_agg(t.job_id), array_agg(t.attempt + 1), array_agg(t.traits), bit_or(t.traits), min(t.job_id), max(t.job_id), max(t.attempt),
      array_agg(t.queue) filter (where v_mixed)
    into v_jobs, v_attempts, v_traits, v_any, v_low, v_high, v_spent, v_queues
    from (select * from taken order by priority desc, seq) t;
    if v_any & 16 <> 0 then
      select * into v_jobs, v_attempts, v_traits, v_queues from pgqueue._drop_expired(v_jobs, v_attempts, v_traits, v_queues);
      if v_jobs is null then
        return;
      end if;
    end if;

    if not v_mixed then
      insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
      values (nextval('pgqueue.lease_id'), claim.worker, v_now, v_forget, v_queue, v_jobs, v_attempts, case when v_any <> 0 then v_traits end)
      returning array[id] into v_leases;
    else
      with made as (
        insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
        select nextval('pgqueue.lease_id'), claim.worker, v_now, pgqueue._forget(q.history), t.queue, t.ids, t.attempts,
          case when v_any <> 0 then t.traits end
        from (
          select e.queue, array_agg(e.id order by e.ord) as ids, array_agg(e.attempt order by e.ord) as attempts,
            array_agg(e.traits order by e.ord) as traits
          from unnest(v_jobs, v_queues, v_attempts, v_traits) with ordinality e(id, queue, attempt, traits, ord) group by e.queue) t
        left join pgqueue.queue q on q.name = t.queue
        returning id)
      select array_agg(m.id) into v_leases from made m;
    end if;
  else
    -- A suspect: its lease says the rest.
    select l.job_ids, l.job_ids[1], l.job_ids[1], 32, true into v_jobs, v_low, v_high, v_any, v_settings
    from pgqueue.lease l where l.id = v_leases[1];
  end if;

  -- Job rows by array, materialised: joined directly they would be read through an ordered walk of the whole index.
  if v_lanes = 1 and v_spent = 0 and not v_settings and v_any & 96 = 0 then
    -- Jobs of one lane at their first attempt, the plain case: the order of ids is that of turns, but for what was scheduled or given back.
    return query
    select v_leases[1], j.id, j.queue, j.kind, j.args, 1, coalesce(j.max_attempts, 5::smallint)::integer, j.priority::integer, j.timeout,
      j.heartbeat, j.headers, j.group_key, j.unique_key, 0, j.created_at
    from pgqueue.job j
    where j.id between v_low and v_high and j.id = any(v_jobs)
    order by j.id;
  else
    return query
    with job as materialized (
      select * from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs)),
    held as materialized (
      select l.id as lease, q.max_attempts, q.timeout, e.id, e.attempt, e.ord
      from pgqueue.lease l
      cross join unnest(l.job_ids, l.attempts) with ordinality e(id, attempt, ord)
      left join pgqueue.queue q on q.name = l.queue
      where l.id = any(v_leases))
    select h.lease, j.id, j.queue, j.kind, j.args, h.attempt::integer, coalesce(j.max_attempts, h.max_attempts, 5::smallint)::integer,
      coalesce(p.priority, j.priority)::integer, coalesce(j.timeout, h.timeout),
      j.heartbeat, j.headers, j.group_key, j.unique_key, coalesce(c.crashes, 0)::integer, j.created_at
    from held h
    join job j on j.id = h.id
    left join lateral (select c.crashes from pgqueue.crash c where v_any & 32 <> 0 and c.job_id = h.id) c on true
    left join lateral (select p.priority from pgqueue.changed_priority p where v_any & 64 <> 0 and p.job_id = h.id) p on true
    order by coalesce(p.priority, j.priority) desc, h.lease, h.ord;
  end if;
end $$;

comment on function pgqueue.claim is
'Takes up to n jobs (1 to 10000) of these queues for a worker, in the order to start them: higher priority first, then first come first served; none when
there is nothing to do. Each row names the lease that its settle, heartbeat and progress must carry. attempt counts from 1. A job that has been in a
crash comes alone.
urgent: somebody waits for the answer, as after a wake-up: look from where the last claim stopped and further back only if that finds nothing. Errors: PQ001 bad arguments, PQ003 unknown worker.';
