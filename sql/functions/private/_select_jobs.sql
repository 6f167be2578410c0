-- One batch for the bulk functions: up to `most` jobs that match, in the order of their ids, from `start` on; `states` are those the action is about. It walks where such jobs stand, each place by id:
-- final ones along their outcomes, the others along the places they wait in, the lanes of ready one by one. Every walk looks at so many rows and no more; where one stops early, all
-- stop at that id (the horizon), and the next call goes on from there. So a call is bounded whatever matches, and `more` says that it is not the end, also when nothing was found.
--
-- Walk and match are two statements, and the action is a third: a job that moves meanwhile is for the action to see. Sorting is disabled as in jobs().
create function pgqueue._select_jobs(
  in wanted pgqueue.job_filter,
  in states text[],
  in most integer,
  in start bigint,
  out ids bigint[],
  out last bigint,
  out more boolean)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_sort = off
set jit = off
as $$
#variable_conflict use_column
declare
  -- Rows that one walk looks at; places where live jobs stand are nine, all lanes together being one.
  v_far integer := 20000;
  v_lanes integer := 20000;
  v_after bigint := greatest(coalesce(start, 0), coalesce(wanted.after_id, 0));
  v_before bigint := coalesce(wanted.before_id, 9223372036854775807);
  v_queue text := wanted.queue;
  v_priority integer := wanted.priority;
  v_states text[] := coalesce(wanted.states, states);
  -- Whether the job row and the outcome have to be looked at, for what the places do not say.
  v_closely boolean := num_nonnulls(wanted.kind, wanted.reason, wanted.error_type, wanted.group_key, wanted.unique_key, wanted.args, wanted.headers, wanted.created_before,
    wanted.created_after, wanted.finished_before, wanted.finished_after) > 0;
  v_walked bigint[];
  v_horizon bigint;
begin
  if most is null or most not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(most::text, 'null')), 'Act on 1 to 10000 jobs a call.');
  end if;
  if start is null or start < 0 then
    perform pgqueue._refuse('PQ001', format('after is %s', coalesce(start::text, 'null')), 'Give 0 first, then the last that the call before returned.');
  end if;

  if wanted.ids is not null then
    -- Named one by one: what cannot be acted upon is the action's to say, unless a state is named too.
    v_walked := array(select i from unnest(wanted.ids) i where i > v_after and i < v_before);
    v_closely := true;
  elsif v_states <@ array['failed', 'cancelled'] then
    select array_agg(w.job_id) filter (where w.state::text = any(v_states)), case when count(*) >= v_far then max(w.job_id) end into v_walked, v_horizon
    from (
      select o.job_id, o.state from pgqueue.outcome o
      where o.job_id > v_after and o.job_id < v_before and o.state <> 'succeeded' order by o.job_id limit v_far) w;
    v_closely := v_closely or num_nonnulls(v_queue, v_priority) > 0;
  elsif v_states <@ array['succeeded', 'failed', 'cancelled'] then
    select array_agg(w.job_id) filter (where w.state::text = any(v_states)), case when count(*) >= v_far then max(w.job_id) end into v_walked, v_horizon
    from (
      select o.job_id, o.state from pgqueue.outcome o
      where o.job_id > v_after and o.job_id < v_before order by o.job_id limit v_far) w;
    v_closely := v_closely or num_nonnulls(v_queue, v_priority) > 0;
  elsif num_nonnulls(wanted.reason, wanted.finished_before, wanted.finished_after) = 0 then
    -- Where all that is walked matches, so many are enough.
    if not v_closely then
      v_lanes := most + 1;
      if num_nonnulls(v_queue, v_priority) = 0 then
        v_far := most + 1;
      end if;
    end if;
    with lane as materialized (
      select h.queue, h.priority, row_number() over () as n, greatest(least(20000 / count(*) over (), v_lanes), 1) as far
      from (
        select l.queue, l.priority, (
          select w.seq from pgqueue.ready w where w.queue = l.queue and w.priority = l.priority and w.seq > v_after order by w.seq limit 1) as first
        from (
          select distinct l.queue, l.priority from pgqueue.lane l
          where 'queued' = any(v_states) and (v_queue is null or l.queue = v_queue) and (v_priority is null or l.priority = v_priority)) l) h
      where h.first < v_before),
    -- A place, how far it is walked, where the walk has come to, and the job there; null when it does not count.
    walk as materialized (
      select l.n as place, l.far, w.seq as at, case when w.seq = w.job_id then w.job_id end as id
      from lane l
      cross join lateral (
        select w.seq, w.job_id from pgqueue.ready w
        where w.queue = l.queue and w.priority = l.priority and w.seq > v_after and w.seq < v_before order by w.seq limit l.far) w
      union all
      select -1, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.ready w
        where w.job_id > v_after and w.job_id < v_before and w.seq <> w.job_id and 'queued' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -2, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.scheduled w
        where w.job_id > v_after and w.job_id < v_before and 'scheduled' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -3, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.arrival w
        where w.job_id > v_after and w.job_id < v_before and 'queued' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -4, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.blocked w
        where w.job_id > v_after and w.job_id < v_before and 'held' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -5, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.suspect w
        where w.job_id > v_after and w.job_id < v_before and 'queued' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -6, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.line w
        where w.job_id > v_after and w.job_id < v_before and 'queued' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -7, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.held w
        where w.job_id > v_after and w.job_id < v_before and 'held' = any(v_states) order by w.job_id limit v_far) w
      union all
      select -9, v_far, w.job_id, case when (v_queue is null or w.queue = v_queue) and (v_priority is null or w.priority = v_priority) then w.job_id end
      from (
        select w.job_id, w.queue, w.priority from pgqueue.dependent w
        where w.job_id > v_after and w.job_id < v_before and 'held' = any(v_states) order by w.job_id limit v_far) w
      union all
      -- Leases are few.
      select -8, 2147483647, e.id, case
          when v_priority is null or coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = e.id), (select j.priority from pgqueue.job j where j.id = e.id))
            = v_priority then e.id end
      from pgqueue.lease l cross join unnest(l.job_ids) e(id)
      where 'running' = any(v_states) and e.id > v_after and e.id < v_before and (v_queue is null or l.queue = v_queue)),
    horizon as materialized (
      select min(f.at) as at from (select max(w.at) as at from walk w group by w.place, w.far having count(*) >= w.far) f)
    select (select array_agg(w.id) from (select w.id from walk w where w.id <= coalesce(h.at, w.id) order by w.id) w), h.at into v_walked, v_horizon
    from horizon h;
  end if;

  if v_closely then
    -- Without an order by: the walk is in order, and the limit ends the look at rows.
    ids := array(
      select c.id
      from unnest(v_walked) c(id)
      cross join lateral (
        select j.* from pgqueue.job j where j.id = c.id offset 0) j
      where (v_queue is null or j.queue = v_queue)
        and (wanted.kind is null or j.kind = wanted.kind)
        and (wanted.group_key is null or j.group_key = wanted.group_key)
        and (wanted.unique_key is null or j.unique_key = wanted.unique_key)
        and (wanted.created_before is null or j.created_at < wanted.created_before)
        and (wanted.created_after is null or j.created_at >= wanted.created_after)
        and (v_priority is null or coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = c.id), j.priority) = v_priority)
        and (wanted.args is null or j.args @> wanted.args)
        and (wanted.headers is null or j.headers @> wanted.headers)
        and (wanted.reason is null or (select o.reason from pgqueue.outcome o where o.job_id = c.id) = wanted.reason)
        and (wanted.finished_before is null or (select o.finished_at from pgqueue.outcome o where o.job_id = c.id) < wanted.finished_before)
        and (wanted.finished_after is null or (select o.finished_at from pgqueue.outcome o where o.job_id = c.id) >= wanted.finished_after)
        and (wanted.error_type is null or (
          select e.error ->> 'type' from pgqueue.attempt_error e where e.job_id = c.id order by e.failed_at desc limit 1) = wanted.error_type)
        and (wanted.ids is null or wanted.states is null or coalesce((select o.state::text from pgqueue.outcome o where o.job_id = c.id),
          pgqueue._state_if_any(c.id), 'running') = any(wanted.states))
      limit most + 1);
  else
    ids := coalesce(v_walked[1:most + 1], '{}');
  end if;
  more := cardinality(ids) > most or v_horizon is not null;
  if cardinality(ids) > most then
    ids := ids[1:most];
    last := ids[most];
  else
    last := coalesce(v_horizon, ids[cardinality(ids)], v_after);
  end if;
end $$;
