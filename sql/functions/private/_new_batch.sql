-- Checks what batches and slow queries have in common, and writes the batch without rows. Op is lower-cased everywhere.
create function pgqueue._new_batch(
  kind text,
  app text,
  op text,
  context jsonb,
  hold boolean,
  owner text,
  priority integer,
  slice_size integer) returns pgqueue.batch
language plpgsql
as $$
declare
  v_batch pgqueue.batch;
begin
  perform pgqueue._check_name('app', app, 150);
  perform pgqueue._check_name('op', op, 150);
  v_batch.op := lower(op collate "C");
  v_batch.queue := pgqueue._rows_queue(app, v_batch.op);
  perform pgqueue._check_name('app and op together', v_batch.queue, 200);
  v_batch.owner := coalesce(owner, session_user::text);
  perform pgqueue._check_name('owner', v_batch.owner, 500);
  if hold is null then
    perform pgqueue._refuse('PQ001', 'hold is null', 'Give true to append more rows later, else false.');
  end if;
  if priority is null or priority not between -32768 and 32767 then
    perform pgqueue._refuse('PQ001', format('priority is %s', coalesce(priority::text, 'null')),
      'Give a whole number from -32768 to 32767; higher runs first, 0 is usual.');
  end if;
  if slice_size is null or slice_size not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('slice_size is %s', coalesce(slice_size::text, 'null')), 'Give a whole number from 1 to 10000; 10 is usual.');
  end if;
  v_batch.id := nextval('pgqueue.job_id');
  v_batch.kind := kind;
  v_batch.status := case when hold then 'held' else 'queued' end;
  v_batch.submitted_at := pgqueue._now();
  v_batch.released_at := case when not hold then v_batch.submitted_at end;
  v_batch.priority := priority;
  v_batch.slice_size := slice_size;
  v_batch.app := app;
  v_batch.context := coalesce(context, '{}');
  insert into pgqueue.batch select v_batch.*;
  insert into pgqueue.batch_count (batch_id, rows, pending) values (v_batch.id, 0, 0);
  return v_batch;
end $$;
