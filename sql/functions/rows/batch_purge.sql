create function pgqueue.batch_purge(older_than interval, app text default null)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_batch bigint;
  v_done bigint := 0;
begin
  perform pgqueue._check_interval('older_than', older_than, false);
  if older_than is null then
    perform pgqueue._refuse('PQ001', 'older_than is null', 'Give an interval, such as ''30 days''.');
  end if;
  for v_batch in
    select b.id from pgqueue.batch b
    where b.done_at <= pgqueue._now() - older_than and (batch_purge.app is null or b.app = batch_purge.app) order by b.id limit 1000 for update skip locked
  loop
    v_done := v_done + pgqueue._forget_batch(v_batch)::integer;
  end loop;
  return v_done;
end $$;

comment on function pgqueue.batch_purge is
'Forgets batches and slow queries that ended longer ago than that, with their rows and output files, at most 1000 at a time; returns how many. Those that are not over stay. Upkeep does the same after the
queue''s retention. Errors: PQ001.';
