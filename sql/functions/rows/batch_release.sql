create function pgqueue.batch_release(id bigint)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, 'batch', true);
  v_rows integer := (select c.rows from pgqueue.batch_count c where c.batch_id = id);
begin
  if v_batch.status = 'held' then
    update pgqueue.batch b set hold = false where b.id = v_batch.id and b.hold;
    perform pgqueue._let_go(v_batch.id, false);
  elsif v_batch.status <> 'queued' then
    perform pgqueue._refuse('PQ005', format('batch %s is %s', id, v_batch.status), 'It is over.');
  end if;
  return v_rows;
end $$;

comment on function pgqueue.batch_release is
'Lets a held batch run, and returns how many rows it has; one that runs already is left alone, one without rows has succeeded.
One that waits for other jobs (depends_on) runs when these have ended. Errors: PQ002, PQ005 when it is over.';
