-- What batch_status and batch_list say of a batch.
create function pgqueue._batch_info(batch pgqueue.batch) returns pgqueue.batch_info
language sql stable
as $$
  select ((batch).id, (batch).app, (batch).op, (batch).kind, (batch).owner,
    case when (batch).status = 'queued' and (c.pending < c.rows or pgqueue._batch_runs(batch)) then 'running' else (batch).status end,
    (batch).done_at is null, c.rows, c.pending, c.succeeded, c.failed, c.aborted, (batch).context, (batch).submitted_at, (batch).released_at, (batch).done_at,
    case when (batch).done_at is not null then pgqueue._batch_files((batch).id) end,
    case when (batch).status = 'held' then array_remove(array[case when (batch).hold then 'release' end, case when (batch).waits then 'parents' end], null) end)::pgqueue.batch_info
  from pgqueue.batch_count c where c.batch_id = (batch).id;
$$;
