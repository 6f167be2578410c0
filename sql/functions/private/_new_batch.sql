-- Checks what batches and slow queries have in common, and writes the batch without rows, and what follows it. Op is lower-cased everywhere. One that is to wait for others is held until
-- its gate has been put up.
create function pgqueue._new_batch(
  kind text,
  app text,
  op text,
  context jsonb,
  hold boolean,
  owner text,
  priority integer,
  slice_size integer,
  depends_on bigint[],
  on_parent_failure text,
  on_success jsonb,
  on_error jsonb) returns pgqueue.batch
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
  perform pgqueue._check_flow(null, null, null, null, null, depends_on, on_parent_failure, on_success, on_error);
  v_batch.id := nextval('pgqueue.job_id');
  v_batch.kind := kind;
  v_batch.hold := hold;
  v_batch.waits := coalesce(cardinality(depends_on), 0) > 0;
  v_batch.status := case when v_batch.hold or v_batch.waits then 'held' else 'queued' end;
  v_batch.submitted_at := pgqueue._now();
  v_batch.released_at := case when v_batch.status = 'queued' then v_batch.submitted_at end;
  v_batch.priority := priority;
  v_batch.slice_size := slice_size;
  v_batch.app := app;
  v_batch.context := coalesce(context, '{}');
  insert into pgqueue.batch select v_batch.*;
  insert into pgqueue.batch_count (batch_id, rows, pending) values (v_batch.id, 0, 0);
  if num_nonnulls(on_success, on_error) > 0 then
    insert into pgqueue.follow_up (job_id, outcome, jobs)
    select v_batch.id, f.outcome, case jsonb_typeof(f.jobs) when 'array' then f.jobs else jsonb_build_array(f.jobs) end
    from (values ('success', on_success), ('error', on_error)) f(outcome, jobs) where f.jobs is not null;
  end if;
  return v_batch;
end $$;
