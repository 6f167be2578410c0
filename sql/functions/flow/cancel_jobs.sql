-- The bulk functions have one shape. Select a batch; do to all plain jobs at once what the function for one job does to one; then, one by one and each as if alone, the others. Nothing waits
-- for long: see _withdraw_many and _try_on.
create function pgqueue.cancel_jobs(filter jsonb, max integer default 1000, after bigint default 0, why text default null)
returns table (done bigint, skipped bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['held', 'scheduled', 'queued', 'running'];
  v_batch record;
  v_place text;
  v_forget smallint;
  v_jobs bigint[];
  v_attempts smallint[];
  v_traits integer[];
  v_plain bigint[] := array[]::bigint[];
  v_locked bigint[];
  v_rest record;
begin
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'cancelled', v_states), v_states, cancel_jobs.max, after);
  for v_place, v_forget, v_jobs, v_attempts, v_traits in
    select w.place, w.forget, array_agg(w.job_id order by w.job_id), array_agg(w.attempt order by w.job_id), array_agg(w.traits order by w.job_id)
    from (
      select case when w.place = 'locked' then 'locked' else 'taken' end as place, w.job_id, w.attempt, w.traits,
        pgqueue._forget((select q.history from pgqueue.queue q where q.name = w.queue)) as forget
      from pgqueue._withdraw_many(v_batch.ids, 1920) w) w
    group by w.place, w.forget
  loop
    if v_place = 'locked' then
      v_locked := v_locked || v_jobs;
    else
      v_plain := v_plain || v_jobs;
      perform pgqueue._finish(v_jobs, array_fill('cancelled'::text, array[cardinality(v_jobs)]), array_fill('cancelled_by_user'::text, array[cardinality(v_jobs)]), v_attempts, v_traits, null,
        null, null, v_forget);
    end if;
  end loop;
  select * into v_rest
  from pgqueue._try_each(array(select i from unnest(v_batch.ids) i where i not in (select p from unnest(v_plain) p)), v_locked, 'cancel', array[coalesce(to_jsonb(why), 'null')]);
  return query
  select * from pgqueue._bulk_row(v_batch.ids, v_plain, v_rest.done, v_rest.stopped_at, v_batch.last, v_batch.more);
end $$;

comment on function pgqueue.cancel_jobs is
'Cancels jobs that match a filter, as cancel does: those that wait at once, those that run are asked. One batch: at most max of them (1 to 10000), in the order of their ids. While more is true, call again with last as after;
a batch looks at a bounded number of jobs, and may find none with more to come.
filter: an object that names at least one of queue, kind, state (text or array), reason, error_type (of the last failed attempt), group_key, unique_key, priority, args, headers (contained in the job''s), ids (array), before_id,
after_id, created_before, created_after, finished_before, finished_after; all of them have to match. done: how many were cancelled or asked. skipped: matched, but moved meanwhile, were asked before, or are locked by
another session. Errors: PQ001.';
