-- As cancel_jobs.
create function pgqueue.set_priority_of_jobs(filter jsonb, priority integer, max integer default 1000, after bigint default 0)
returns table (done bigint, skipped bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['held', 'scheduled', 'queued'];
  v_batch record;
  v_was record;
  v_plain bigint[] := array[]::bigint[];
  v_locked bigint[] := array[]::bigint[];
  v_same bigint[];
  v_rest record;
begin
  perform pgqueue._check_priority(priority);
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'given another priority', v_states), v_states, set_priority_of_jobs.max, after);
  -- Those that have it keep their turn.
  v_same := array(
    select i from unnest(v_batch.ids) i
    cross join lateral (select j.priority from pgqueue.job j where j.id = i offset 0) j
    where coalesce((select p.priority from pgqueue.changed_priority p where p.job_id = i), j.priority) = set_priority_of_jobs.priority);
  for v_was in
    select w.place, array_agg(w.job_id order by w.job_id) as jobs, array_agg(w.queue order by w.job_id) as queues, array_agg(w.priority order by w.job_id) as priorities,
      array_agg(w.attempt order by w.job_id) as attempts, array_agg(w.traits | 64 order by w.job_id) as traits, array_agg(w.run_at order by w.job_id) as due,
      array_fill(set_priority_of_jobs.priority::smallint, array[count(*)::integer]) as news
    from pgqueue._withdraw_many(array(select i from unnest(v_batch.ids) i where i <> all(v_same)), 1920) w
    group by w.place
  loop
    if v_was.place = 'locked' then
      v_locked := v_was.jobs;
      continue;
    end if;
    insert into pgqueue.changed_priority (job_id, priority) select i, set_priority_of_jobs.priority from unnest(v_was.jobs) i
    on conflict (job_id) do update set priority = excluded.priority;
    if v_was.place = 'scheduled' then
      perform pgqueue._schedule(v_was.jobs, v_was.queues, v_was.news, v_was.attempts, v_was.traits, v_was.due);
    else
      perform pgqueue._enter(v_was.jobs, v_was.queues, v_was.news, v_was.attempts, v_was.traits, v_was.place = 'ready');
    end if;
    perform pgqueue._note_event(e.id, 'priority changed', jsonb_build_object('from', e.priority, 'to', set_priority_of_jobs.priority))
    from unnest(v_was.jobs, v_was.priorities) e(id, priority);
    v_plain := v_plain || v_was.jobs::bigint[];
  end loop;
  select * into v_rest
  from pgqueue._try_each(array(select i from unnest(v_batch.ids) i where i not in (select p from unnest(v_plain || v_same) p)), v_locked, 'set_priority', array[to_jsonb(priority)]);
  return query
  select * from pgqueue._bulk_row(v_batch.ids, v_plain, v_rest.done, v_rest.stopped_at, v_batch.last, v_batch.more);
end $$;

comment on function pgqueue.set_priority_of_jobs is
'Gives waiting jobs that match a filter another priority, as set_priority does: they go to the end of those that have it. One batch; filter, max, after and what is returned are those of cancel_jobs. skipped: matched, but have that
priority already, moved meanwhile, wait for the release of their batch, or are locked by another session. Errors: PQ001.';
