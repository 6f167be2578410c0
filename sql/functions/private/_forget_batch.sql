-- Everything about a batch goes; what its jobs left goes with their blocks. False: somebody has it in hand, such as a worker that hands in late results; another time, since who waits here may
-- have other batches in hand that this one wants.
create function pgqueue._forget_batch(batch bigint) returns boolean
language plpgsql
as $$
begin
  perform from pgqueue.batch_count c where c.batch_id = batch for update skip locked;
  if not found then
    return false;
  end if;
  delete from pgqueue.row_outcome o where o.batch_id = batch;
  delete from pgqueue.batch_file f where f.batch_id = batch;
  delete from pgqueue.follow_up f where f.job_id = batch;
  delete from pgqueue.batch_slice s where s.batch_id = batch;
  delete from pgqueue.batch_count c where c.batch_id = batch;
  delete from pgqueue.batch b where b.id = batch;
  return true;
end $$;
