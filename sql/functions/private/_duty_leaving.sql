-- Upkeep: slices of large batches that have been let go come into ready, ten thousand rows of `held` a pass, in the order of their ids; those of one whose parent has failed are
-- aborted, about ten thousand of its rows a pass. Slices of other batches are among them and stay. One that is locked is passed over: when the walk has come to its end it begins
-- anew, until none is left. So is a batch that is to be aborted and is locked.
create function pgqueue._duty_leaving() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
set enable_sort = off
as $$
#variable_conflict use_column
declare
  v_batch record;
  v_jobs bigint[];
  v_rows bigint;
  v_left bigint := 10000;
  v_more boolean;
  v_last bigint;
  v_done bigint := 0;
begin
  for v_batch in
    select l.batch_id as id, l.after, b.queue, b.slice_size, b.reason is not null as dead
    from (select l.batch_id, l.after from pgqueue.batch_leaving l order by l.batch_id limit 100) l
    left join lateral (select b.queue, b.slice_size, b.reason from pgqueue.batch b where b.id = l.batch_id offset 0) b on true
  loop
    exit when v_left <= 0;
    if v_batch.dead then
      perform from pgqueue.batch_count c where c.batch_id = v_batch.id for no key update skip locked;
      continue when not found;
    end if;
    v_jobs := array(select h.job_id from pgqueue.held h where h.job_id > v_batch.after order by h.job_id limit v_left);
    v_more := cardinality(v_jobs) >= v_left;
    v_rows := 0;
    if v_batch.dead then
      -- Its own slices alone have rows to abort; those of others are only passed.
      v_last := (
        select h.job_id from pgqueue.held h where h.job_id between v_jobs[1] and v_jobs[cardinality(v_jobs)] and h.batch_id = v_batch.id
        order by h.job_id offset greatest(10000 / v_batch.slice_size, 1) - 1 limit 1);
      if v_last is not null then
        v_jobs := v_jobs[:array_position(v_jobs, v_last)];
        v_more := true;
      end if;
      v_done := v_done + pgqueue._abort_held(v_batch.id, v_jobs[1], v_jobs[cardinality(v_jobs)]);
    else
      with picked as materialized (
        select h.ctid from pgqueue.held h
        where h.job_id between v_jobs[1] and v_jobs[cardinality(v_jobs)] and h.batch_id = v_batch.id for update skip locked),
      gone as (delete from pgqueue.held h where h.ctid = any(array(select p.ctid from picked p)) returning h.*)
      insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
      select g.job_id, g.job_id, g.traits, g.priority, g.attempt, g.queue from gone g;
      get diagnostics v_rows = row_count;
    end if;
    v_done := v_done + v_rows;
    if v_rows > 0 then
      perform pgqueue._wake(v_batch.queue);
    end if;
    if v_more then
      update pgqueue.batch_leaving l set after = v_jobs[cardinality(v_jobs)] where l.batch_id = v_batch.id;
    elsif exists (select from pgqueue.held h where h.batch_id = v_batch.id) then
      update pgqueue.batch_leaving l set after = l.batch_id where l.batch_id = v_batch.id;
    else
      delete from pgqueue.batch_leaving l where l.batch_id = v_batch.id;
      if v_batch.dead and (select b.done_at from pgqueue.batch b where b.id = v_batch.id) is null then
        perform pgqueue._finish_batch(v_batch.id, 'aborted', true);
      end if;
    end if;
    v_left := v_left - case when v_batch.dead then 10000 else greatest(cardinality(v_jobs), 100) end;
  end loop;
  return v_done;
end $$;
