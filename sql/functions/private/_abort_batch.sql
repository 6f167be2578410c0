-- Aborts a batch that is not over; the caller has its counters locked. `by_gate`: the end of its gate does it, and that is not for this function to cancel. Returns the counts.
create function pgqueue._abort_batch(batch pgqueue.batch, why text, by_gate boolean) returns pgqueue.batch_count
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
  v_count pgqueue.batch_count;
  v_now timestamptz := pgqueue._now();
  v_slice bigint;
  v_slices bigint[];
begin
  insert into pgqueue.row_outcome (batch_id, line, row_id, status, done_at)
  select (batch).id, (r.value ->> 1)::integer, (r.value ->> 0)::integer, 'aborted', v_now
  from pgqueue.batch_slice s
  cross join lateral (select j.args from pgqueue.job j where j.id = s.job_id offset 0) j
  cross join jsonb_array_elements(j.args -> 'rows') r(value)
  where s.batch_id = (batch).id
  on conflict do nothing;
  update pgqueue.batch_count c set pending = 0, aborted = c.aborted + c.pending where c.batch_id = (batch).id returning * into v_count;
  perform pgqueue._finish_batch((batch).id, 'aborted', by_gate);
  -- Slices that are over have an outcome or, in a queue without history, no job any more.
  v_slices := array(
    select s.job_id
    from (select s.job_id from pgqueue.batch_slice s where s.batch_id = (batch).id and (not by_gate or s.job_id <> (batch).gate) offset 0) s
    where (select o.job_id from pgqueue.outcome o where o.job_id = s.job_id) is null and (select j.id from pgqueue.job j where j.id = s.job_id) is not null
    order by s.job_id);
  perform pgqueue._drop_slices(batch, v_slices);
  -- No worker ends one of the few that are left meanwhile: it would need the counters.
  v_slices := array(
    select s.id from unnest(v_slices) s(id)
    where (select o.job_id from pgqueue.outcome o where o.job_id = s.id) is null and (select j.id from pgqueue.job j where j.id = s.id) is not null order by s.id);
  foreach v_slice in array v_slices loop
    perform pgqueue.cancel(v_slice, why);
  end loop;
  return v_count;
end $$;
