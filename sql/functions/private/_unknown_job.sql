-- Refuses an id that is no job's. Who has given that of a batch or slow query is told where to look.
create function pgqueue._unknown_job(job bigint, hint text) returns void
language plpgsql
as $$
begin
  perform pgqueue._refuse('PQ002', format('job %s is unknown', coalesce(job::text, 'null')), coalesce((
    select case b.kind when 'batch' then 'It is a batch: see batch_status and batch_abort.' else 'It is a slow query: see slow_query_status and slow_query_abort.' end
    from pgqueue.batch b where b.id = job), hint));
end $$;
