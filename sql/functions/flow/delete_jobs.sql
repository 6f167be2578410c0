-- Deletes what retention would delete one day, and no more: what queries and scripts have of their own expires by itself.
create function pgqueue.delete_jobs(filter jsonb, max integer default 1000, after bigint default 0)
returns table (done bigint, skipped bigint, last bigint, more boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['succeeded', 'failed', 'cancelled'];
  v_batch record;
  v_jobs bigint[];
  v_low bigint;
  v_high bigint;
begin
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'deleted', v_states), v_states, delete_jobs.max, after);
  -- The outcome is the lock: whoever retries or edits the job just now keeps it.
  v_jobs := array(
    select o.job_id
    from unnest(v_batch.ids) i
    cross join lateral (select o.job_id from pgqueue.outcome o where o.job_id = i for update skip locked) o);
  if cardinality(v_jobs) > 0 then
    v_low := v_batch.ids[1];
    v_high := v_batch.ids[cardinality(v_batch.ids)];
    delete from pgqueue.attempt_error e where e.job_id between v_low and v_high and e.job_id = any(v_jobs);
    perform pgqueue._forget_traces(v_jobs, v_low, v_high);
    delete from pgqueue.follow_up f where f.job_id = any(v_jobs);
    delete from pgqueue.dependency d
    where d.ctid = any(array(
      select d.ctid
      from (select j.id, j.depends_on from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs) and j.depends_on is not null offset 0) j
      cross join lateral unnest(j.depends_on) p(id)
      cross join lateral (select d.ctid from pgqueue.dependency d where d.parent_id = p.id and d.child_id = j.id offset 0) d));
    delete from pgqueue.outcome o where o.job_id between v_low and v_high and o.job_id = any(v_jobs);
    delete from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_jobs);
  end if;
  return query select * from pgqueue._bulk_row(v_batch.ids, coalesce(v_jobs, '{}'), 0, null, v_batch.last, v_batch.more);
end $$;

comment on function pgqueue.delete_jobs is
'Deletes the history of jobs that are final and match a filter: they are unknown from then on. One batch; filter, max, after and what is returned are those of cancel_jobs. Jobs that wait or run are never deleted: cancel them first; named
by ids they count as skipped. What scripts, queries and batches keep of their own stays until it expires. Errors: PQ001.';
