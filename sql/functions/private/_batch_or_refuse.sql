-- A batch, or slow query, that exists. `locked`: for a change. The lock of a batch is the row of its counters, for everybody: workers that hand in rows hold it when the last of them
-- ends the batch, so nobody may wait for it with the batch's own row in hand.
create function pgqueue._batch_or_refuse(id bigint, kind text, locked boolean) returns pgqueue.batch
language plpgsql
as $$
declare
  v_batch pgqueue.batch;
begin
  if locked then
    perform from pgqueue.batch_count c where c.batch_id = _batch_or_refuse.id for no key update;
  end if;
  select * into v_batch from pgqueue.batch b where b.id = _batch_or_refuse.id;
  if v_batch.id is null or v_batch.kind <> _batch_or_refuse.kind then
    perform pgqueue._refuse('PQ002', format('%s %s is unknown', replace(kind, '_', ' '), coalesce(id::text, 'null')),
      'It was never submitted, its transaction was rolled back, or it has been purged.');
  end if;
  return v_batch;
end $$;
