create function pgqueue.query_put(lease bigint, job bigint, n integer, row_count integer, data text)
returns table (cancel_requested boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_run integer;
begin
  perform pgqueue._hold_lease(lease, job);
  if row_count is null or row_count < 0 or data is null then
    perform pgqueue._refuse('PQ001', format('row_count is %s and data %s', coalesce(row_count::text, 'null'), case when data is null then 'null' else 'given' end),
      'Give the number of lines, and the lines.');
  end if;
  update pgqueue.query_run r
  set batches = r.batches + 1, kept = true, row_count = r.row_count + query_put.row_count, byte_count = r.byte_count + octet_length(query_put.data), updated_at = pgqueue._now()
  where r.job_id = query_put.job and r.batches = query_put.n and r.ended_at is null
  returning r.run into v_run;
  if found then
    insert into pgqueue.query_chunk (job_id, run, n, row_count, data) values (query_put.job, v_run, query_put.n, query_put.row_count, query_put.data);
  elsif not exists (
    -- stored already, and the answer was lost
    select from pgqueue.query_run r join pgqueue.query_chunk c on c.job_id = r.job_id and c.run = r.run
    where r.job_id = query_put.job and r.batches = query_put.n + 1 and c.n = query_put.n and c.data = query_put.data)
  then
    perform pgqueue._refuse('PQ001', format('chunk %s of query %s is not the next one', coalesce(n::text, 'null'), job), 'Hand chunks in one after the other, from 0 on, between query_begin and query_end.');
  end if;
  cancel_requested := exists (select from pgqueue.cancel_request c where c.job_id = query_put.job);
  return next;
end $$;

comment on function pgqueue.query_put is
'For workers: appends chunk n (0, 1, 2, …) to the result of a query that runs; data: row_count lines as COPY writes them. It can be read as soon as this commits. Handing the last one in again changes nothing. cancel_requested: a cancel was asked for. Errors:
PQ001 not the next chunk; PQ004 the lease does not hold the job: nothing was written.';
