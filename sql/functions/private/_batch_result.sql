-- What result says of a batch or slow query that is over: its counts, or what its processor gave; and why it has not succeeded.
create function pgqueue._batch_result(in id bigint, out reason text, out result jsonb, out error jsonb)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch;
  v_count pgqueue.batch_count;
  v_messages jsonb;
begin
  select * into v_batch from pgqueue.batch b where b.id = _batch_result.id;
  select * into v_count from pgqueue.batch_count c where c.batch_id = _batch_result.id;
  reason := case v_batch.status when 'failed' then 'error' when 'aborted' then coalesce(v_batch.reason, 'aborted') end;
  if v_batch.kind = 'batch' then
    result := jsonb_build_object('succeeded', v_count.succeeded, 'failed', v_count.failed, 'aborted', v_count.aborted);
  elsif v_batch.status <> 'aborted' then
    select o.result, o.messages into result, v_messages from pgqueue.row_outcome o where o.batch_id = _batch_result.id and o.line = 0 and o.row_id = 0;
  end if;
  if v_batch.status = 'failed' and v_batch.kind = 'batch' then
    error := jsonb_build_object('type', 'RowsFailed', 'message', format('%s of %s rows failed', v_count.failed, v_count.rows));
  elsif v_batch.status = 'failed' then
    error := jsonb_build_object('type', 'SlowQueryFailed', 'message', coalesce(v_messages #>> '{0,vals,0}', v_messages #>> '{0,errcode}', 'its processor said so'),
      'messages', coalesce(v_messages, '[]'));
  end if;
end $$;
