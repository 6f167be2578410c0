-- One job for each of these arrays of rows [id, line, input]. They wait for the release of the batch, for a time, or to be claimed.
create function pgqueue._make_slices(batch pgqueue.batch, slices jsonb[], due timestamptz) returns void
language plpgsql
as $$
begin
  with made as materialized (
    select nextval('pgqueue.job_id') as id, s.rows from unnest(slices) s(rows)),
  asked as (
    insert into pgqueue.job (id, created_at, priority, max_attempts, queue, kind, args)
    select m.id, pgqueue._now(), (batch).priority, 3, (batch).queue, case (batch).kind when 'batch' then 'rows.slice' else 'rows.slow' end,
      jsonb_build_object('batch', (batch).id, 'app', (batch).app, 'op', (batch).op, 'rows', m.rows)
    from made m),
  known as (insert into pgqueue.batch_slice (job_id, batch_id) select m.id, (batch).id from made m),
  waiting as (
    insert into pgqueue.held (job_id, batch_id, traits, priority, attempt, queue)
    select m.id, (batch).id, 512, (batch).priority, 0, (batch).queue from made m where (batch).status = 'held'),
  later as (
    insert into pgqueue.scheduled (run_at, job_id, traits, priority, attempt, queue)
    select due, m.id, 512, (batch).priority, 0, (batch).queue from made m where (batch).status <> 'held' and due is not null)
  insert into pgqueue.ready (seq, job_id, traits, priority, attempt, queue)
  select m.id, m.id, 512, (batch).priority, 0, (batch).queue from made m where (batch).status <> 'held' and due is null;
  perform pgqueue._open_lane((batch).queue, (batch).priority, false);
  if (batch).status <> 'held' and due is null then
    perform pgqueue._wake((batch).queue);
  end if;
end $$;
