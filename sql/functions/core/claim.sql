-- Takes up to n jobs for a worker: by priority over all the queues, in turn within a lane, skipping what others have locked. Deletes them from ready by
-- row address, an array of them: a join or an IN would be planned from statistics that are always stale here. One lease row per queue, however
-- many jobs. The plans are pinned for the same reason: no sequential or bitmap scan of a table whose dead rows nobody may remove,
-- no nested loop over arrays.
--
-- One plain lane, the usual case, is served in four statements here. plpgsql starts the executor anew for every statement and prepares every
-- expression anew in every transaction, which is most of what a claim costs: so fewer and larger ones are the faster.
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
  v_clock float8 := date_part('epoch', clock_timestamp());
  v_setting text := coalesce(current_setting('pgqueue.view', true), '');
  v_wide boolean := cardinality(queues) > 8 or v_setting <> '' and pgqueue._has_window(v_setting, queues);
  v_window text[];
  v_highest smallint;
  v_grouped boolean;
  v_settings integer;
  v_known boolean;
  v_suspects boolean;
  v_lanes pgqueue.lane_in_view[];
  v_alone boolean;
  v_queue text;
  v_priority smallint;
  v_floor bigint;
  v_expires float8;
  v_forget smallint;
  v_special boolean;
  v_swept float8;
  v_picked tid[];
  v_older tid[];
  v_first bigint;
  v_leases bigint[];
  v_jobs bigint[];
  v_of_lease bigint[];
  v_any integer;
  v_low bigint;
  v_high bigint;
  v_spent smallint;
begin
  if v_wide then
    if not urgent and v_setting <> '' then
      v_window := pgqueue._window(v_setting, queues, v_clock);
    end if;
    select exists (select from pgqueue.worker w where w.id = claim.worker), exists (select from pgqueue.suspect),
      case when v_window is not null then array(select l from pgqueue._lane(v_window[1], v_window[2]::smallint) l) end
    into v_known, v_suspects, v_lanes;
  else
    -- All there is to know when the first queue is the only one and has one lane.
    select exists (select from pgqueue.worker w where w.id = claim.worker), exists (select from pgqueue.suspect),
      min(l.priority), max(l.priority), bool_or(l.grouped), (select pgqueue._plain_settings(q) from pgqueue.queue q where q.name = queues[1])
    into v_known, v_suspects, v_priority, v_highest, v_grouped, v_settings
    from pgqueue.lane l where l.queue = queues[1];
  end if;
  if not coalesce(v_known and n between 1 and 10000 and array_ndims(queues) = 1 and array_position(queues, null) is null, false) then
    perform pgqueue._check_claim(worker, queues, n);
  end if;
  if v_suspects then
    v_leases := array[pgqueue._claim_suspect(worker, queues)];
    if v_leases[1] is not null then
      return query select * from pgqueue._leased(v_leases);
      return;
    end if;
  end if;

  v_alone := cardinality(queues) = 1 and v_priority = v_highest and not v_grouped and coalesce(v_settings, 0) >= 0;
  if v_alone then
    v_queue := queues[1];
    v_setting := current_setting(pgqueue._cursor_name('ready', v_queue, v_priority), true);
    v_floor := pgqueue._floor_of(v_setting, pgqueue._cursor_owner('ready', v_queue, v_priority));
    v_expires := pgqueue._expiry_of(v_setting, pgqueue._cursor_owner('ready', v_queue, v_priority));
    v_forget := coalesce(v_settings & 3, 0);
    v_special := v_settings & 4 <> 0;
  elsif not v_wide then
    v_lanes := array(select l from pgqueue._lanes(queues) l);
  elsif v_lanes[1].max_running is null then
    v_alone := v_lanes[1].queue is not null;
    v_queue := v_lanes[1].queue;
    v_priority := v_lanes[1].priority;
    v_floor := v_lanes[1].floor;
    v_expires := v_lanes[1].expires;
    v_forget := v_lanes[1].forget;
    v_special := v_lanes[1].special;
  end if;
  if v_alone then
    -- From the cursor first. A sweep from the start follows when the cursor has expired, so that what was committed late with an earlier turn is
    -- found, and goes first when full scans from the cursor would put it off for ever. Who is urgent sweeps only for want of anything else.
    for v_try in 1..4 loop
      if v_clock > v_expires + 1 and not urgent then
        v_swept := v_clock;
        v_floor := 0;
      end if;
      select array_agg(r.ctid), min(r.seq) into v_picked, v_first
      from (
        select r.ctid, r.seq from pgqueue.ready r
        where r.queue = v_queue and r.priority = v_priority and r.seq >= v_floor
        order by r.seq limit n for update skip locked) r;
      exit when v_picked is not null or not v_wide;
      -- The first lane of the window has nothing more: the next becomes the first. After a few, _pick_wide looks at several at a time.
      select l.queue, l.priority, l.floor, l.expires, l.forget, l.special into v_queue, v_priority, v_floor, v_expires, v_forget, v_special
      from pgqueue._next_in_window() l where l.max_running is null;
      exit when not found;
      v_swept := null;
    end loop;
    if coalesce(cardinality(v_picked), 0) < n then
      if v_wide then
        v_alone := false;
      elsif v_floor > 0 and (urgent and v_picked is null or not urgent and v_clock > v_expires) then
        v_swept := date_part('epoch', clock_timestamp());
        v_older := array(
          select r.ctid from pgqueue.ready r
          where r.queue = v_queue and r.priority = v_priority and r.seq < v_floor
          order by r.seq limit n - coalesce(cardinality(v_picked), 0) for update skip locked);
        v_picked := v_older || v_picked;
      end if;
    end if;
  end if;
  if v_alone then
    if v_first is null and v_swept is not null then
      select s.last_value into v_first from pgqueue.job_id s;
    end if;
    if v_first is not null then
      if v_swept is not null then
        v_expires := pgqueue._sweep_again(v_swept);
      end if;
      v_setting := set_config(pgqueue._cursor_name('ready', v_queue, v_priority),
        pgqueue._cursor_text('ready', v_queue, v_priority, v_first, v_expires), false);
    end if;
  elsif v_wide or cardinality(v_lanes) > 32 then
    v_picked := pgqueue._pick_wide(queues, n, urgent);
  elsif cardinality(v_lanes) > 0 then
    v_picked := (pgqueue._pick(v_lanes, n, urgent)).picked;
  end if;
  if coalesce(cardinality(v_picked), 0) = 0 then
    return;
  end if;

  if v_alone then
    with taken as (
      delete from pgqueue.ready r where r.ctid = any(v_picked)
      returning r.seq, r.job_id, r.attempt, r.traits),
    listed as materialized (
      select array_agg(t.job_id) as jobs, array_agg(t.attempt + 1) as attempts, array_agg(t.traits) as traits, bit_or(t.traits) as any,
        min(t.job_id) as low, max(t.job_id) as high, max(t.attempt) as spent
      from (select * from taken order by case when attempt = 0 then job_id else seq end) t),
    held as (
      insert into pgqueue.lease (id, worker_id, claimed_at, forget, queue, job_ids, attempts, traits)
      select pgqueue._lease_number(), claim.worker, pgqueue._now(), v_forget, v_queue, l.jobs, l.attempts, case when l.any <> 0 then l.traits end
      from listed l
      returning id)
    select array[h.id], l.jobs, l.any, l.low, l.high, l.spent into v_leases, v_jobs, v_any, v_low, v_high, v_spent
    from listed l cross join held h;
  else
    select t.leases, t.jobs, t.of_lease, t.any_, t.low, t.high, t.spent, t.special into v_leases, v_jobs, v_of_lease, v_any, v_low, v_high, v_spent, v_special
    from pgqueue._take(worker, v_picked, queues) t;
  end if;
  if v_spent > 0 or v_special or v_any & 19568 <> 0 then
    if v_any & 1024 <> 0 then
      v_leases := pgqueue._keyed_claimed(v_leases);
    end if;
    if v_any & 16 <> 0 then
      v_leases := pgqueue._drop_expired(v_leases);
    end if;
    if v_any & 2048 <> 0 then
      v_leases := pgqueue._give_up_keys(v_leases);
    end if;
    return query select * from pgqueue._leased(v_leases);
    return;
  end if;
  if cardinality(v_leases) > 1 then
    return query
    with job as materialized (
      select * from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs))
    select e.lease, j.id, j.queue, j.kind, j.args, 1, coalesce(j.max_attempts, 5::smallint)::integer, j.priority::integer, j.timeout,
      j.heartbeat, j.headers, j.group_key, j.unique_key, 0, j.created_at
    from job j join unnest(v_jobs, v_of_lease) e(id, lease) on e.id = j.id
    order by j.priority desc, e.lease, j.id;
    return;
  end if;
  if v_alone then
    -- Without a sort: it would copy every row once more, and the index gives an array of ids in their order.
    return query
    select v_leases[1], j.id, j.queue, j.kind, j.args, 1, coalesce(j.max_attempts, 5::smallint)::integer, j.priority::integer, j.timeout,
      j.heartbeat, j.headers, j.group_key, j.unique_key, 0, j.created_at
    from pgqueue.job j
    where j.id between v_low and v_high and j.id = any(v_jobs);
    return;
  end if;
  return query
  select v_leases[1], j.id, j.queue, j.kind, j.args, 1, coalesce(j.max_attempts, 5::smallint)::integer, j.priority::integer, j.timeout,
    j.heartbeat, j.headers, j.group_key, j.unique_key, 0, j.created_at
  from pgqueue.job j
  where j.id between v_low and v_high and j.id = any(v_jobs)
  order by j.priority desc, j.id;
end $$;

comment on function pgqueue.claim is
'Takes up to n jobs (1 to 10000) of these queues for a worker, in the order to start them: higher priority first, then first come first served; none when
there is nothing to do. Each row names the lease that its settle, heartbeat and progress must carry. attempt counts from 1. A job that has been in a
crash comes alone.
urgent: somebody waits for the answer, as after a wake-up: look from where the last claim stopped and further back only if that finds nothing. Errors: PQ001 bad arguments, PQ003 unknown worker.';
