-- As cancel_jobs; jobs with a unique key go one by one, as each may meet another that has it.
create function pgqueue.move_jobs(filter jsonb, queue text, max integer default 1000, after bigint default 0)
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
  v_there bigint[];
  v_rest record;
begin
  perform pgqueue._check_name('queue', queue, 200);
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'moved', v_states), v_states, move_jobs.max, after);
  v_there := array(
    select i from unnest(v_batch.ids) i
    cross join lateral (select j.queue from pgqueue.job j where j.id = i offset 0) j where j.queue = move_jobs.queue);
  for v_was in
    select case w.place when 'locked' then 'locked' when 'scheduled' then 'scheduled' else 'at hand' end as place, array_agg(w.job_id order by w.job_id) as jobs, array_agg(w.queue order by w.job_id) as queues, array_agg(w.priority order by w.job_id) as priorities,
      array_agg(w.attempt order by w.job_id) as attempts, array_agg(w.traits order by w.job_id) as traits, array_agg(w.run_at order by w.job_id) as due,
      array_fill(move_jobs.queue, array[count(*)::integer]) as news
    from pgqueue._withdraw_many(array(select i from unnest(v_batch.ids) i where i <> all(v_there)), 3969) w
    group by 1
  loop
    if v_was.place = 'locked' then
      v_locked := v_was.jobs;
      continue;
    end if;
    perform pgqueue._to_queue(v_was.jobs, move_jobs.queue, v_was.queues, v_was.traits);
    if v_was.place = 'scheduled' then
      perform pgqueue._schedule(v_was.jobs, v_was.news, v_was.priorities, v_was.attempts, v_was.traits, v_was.due);
    else
      perform pgqueue._enter(v_was.jobs, v_was.news, v_was.priorities, v_was.attempts, v_was.traits, false);
    end if;
    v_plain := v_plain || v_was.jobs::bigint[];
  end loop;
  select * into v_rest
  from pgqueue._try_each(array(select i from unnest(v_batch.ids) i where i not in (select p from unnest(v_plain || v_there) p)), v_locked, 'move', array[to_jsonb(queue)]);
  return query
  select * from pgqueue._bulk_row(v_batch.ids, v_plain, v_rest.done, v_rest.stopped_at, v_batch.last, v_batch.more);
end $$;

comment on function pgqueue.move_jobs is
'Takes waiting jobs that match a filter to another queue, where they get new turns, in the order they are moved; a scheduled job keeps its time, a unique key goes with its job, a group_key counts there. One batch; filter, max,
after and what is returned are those of cancel_jobs. skipped: matched, but are there already, moved meanwhile, would meet a job that has their unique key there, carry rows of a batch, are items of a keyed queue, or are locked by another
session. Errors: PQ001.';
