create function pgqueue.query_batch(id bigint, n integer, format text default 'json', as_owner text default null)
returns table (batch integer, state text, run integer, row_count integer, is_last boolean, data text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_status pgqueue.query_info;
  v_chunk text;
begin
  if n is null or n < 0 then
    perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Chunks are counted from 0.');
  end if;
  if format is null or format not in ('json', 'arrays', 'csv', 'text') then
    perform pgqueue._refuse('PQ001', format('unknown format %L', format),
      'Formats: json (an array of objects), arrays (an array of arrays), csv (without a header), text (lines as COPY writes them).');
  end if;
  select * into v_status from pgqueue.query_status(id, as_owner);
  if v_status.state in ('failed', 'cancelled') then
    perform pgqueue._refuse('PQ005', format('query %s %s: %s', id, case v_status.state when 'failed' then 'failed' else 'was cancelled' end,
      coalesce(v_status.error ->> 'message', v_status.reason)), 'It has no result; query_status says more.');
  elsif v_status.expires_at <= pgqueue._now() then
    perform pgqueue._refuse('PQ002', format('the result of query %s has expired', id), format('It was kept until %s: submit the query again, or give it a longer ttl.', v_status.expires_at));
  end if;
  batch := n;
  state := v_status.state;
  run := v_status.run;
  is_last := state = 'succeeded' and n + 1 >= v_status.batches;
  if n < v_status.batches then
    select c.row_count, c.data into row_count, v_chunk
    from pgqueue.query_chunk c where c.job_id = query_batch.id and c.run = v_status.run and c.n = query_batch.n;
    data := pgqueue._chunk_as(v_chunk, row_count, v_status.columns, format);
  elsif state = 'succeeded' then
    row_count := 0;
    data := pgqueue._chunk_as('', 0, coalesce(v_status.columns, '[]'), format);
  end if;
  return next;
end $$;

comment on function pgqueue.query_batch is
'Chunk n (from 0) of a query''s result, as often as wanted, also while the query still runs. data is null while the chunk is not there yet; past the end it holds no rows. is_last: none
follows. format: json (an array of objects), arrays (an array of arrays), csv (without a header), text (lines as COPY writes them, the stored form). run: see query_status. as_owner: refuse what
this owner neither asked for nor shares. Errors: PQ001; PQ002 unknown, or the result has expired; PQ005 the query failed or was cancelled.';
