-- A slice that came out of a crash gives each of its rows a job of its own: so the row that kills its workers shows itself, and takes no others along. One whose batch is over meanwhile
-- gives nothing on. Returns false when the slice is one row, which is to run again. The counters are locked: an abort finds the slice or those it was split into.
create function pgqueue._split_slice(job bigint) returns boolean
language plpgsql
as $$
declare
  v_id bigint;
  v_batch pgqueue.batch;
  v_rows jsonb;
begin
  select s.batch_id into v_id from pgqueue.batch_slice s where s.job_id = job;
  perform from pgqueue.batch_count c where c.batch_id = v_id for no key update;
  select b.* into v_batch from pgqueue.batch b where b.id = v_id;
  if v_batch.id is null or v_batch.done_at is not null then
    return true;
  end if;
  select j.args -> 'rows' into v_rows from pgqueue.job j where j.id = job;
  if jsonb_array_length(v_rows) < 2 then
    return false;
  end if;
  delete from pgqueue.batch_slice s where s.job_id = job;
  perform pgqueue._make_slices(v_batch, array(select jsonb_build_array(r.value) from jsonb_array_elements(v_rows) with ordinality r(value, nth) order by r.nth), null);
  return true;
end $$;
