-- Everything about a batch goes; what its jobs left goes with their blocks.
create function pgqueue._forget_batch(batch bigint) returns void
language plpgsql
as $$
begin
  delete from pgqueue.row_outcome o where o.batch_id = batch;
  delete from pgqueue.batch_file f where f.batch_id = batch;
  delete from pgqueue.batch_slice s where s.batch_id = batch;
  delete from pgqueue.batch_count c where c.batch_id = batch;
  delete from pgqueue.batch b where b.id = batch;
end $$;
