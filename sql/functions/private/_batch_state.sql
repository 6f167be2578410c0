-- Where a batch or slow query stands, in the words for jobs; null when there is none. Drawn from one sequence, its id is no job's.
create function pgqueue._batch_state(batch bigint) returns text
language plpgsql
as $$
declare
  v_batch pgqueue.batch;
begin
  select * into v_batch from pgqueue.batch b where b.id = batch;
  return case
    when v_batch.id is null then null
    when v_batch.status = 'aborted' then 'cancelled'
    when v_batch.status <> 'queued' then v_batch.status
    when (select c.pending < c.rows from pgqueue.batch_count c where c.batch_id = batch) or pgqueue._batch_runs(v_batch) then 'running'
    else 'queued' end;
end $$;
