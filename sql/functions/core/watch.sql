create function pgqueue.watch(
  jobs bigint[],
  lasting interval default '1 minute',
  listening boolean default true)
returns table (job_id bigint, state text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  if jobs is null or lasting is null then
    perform pgqueue._refuse('PQ001', 'jobs or lasting is null', 'Give an array of job ids and an interval such as ''1 minute''.');
  end if;
  perform pgqueue._check_interval('lasting', lasting, true);
  -- The lock before the rows, the rows before the look: whoever settles after the look sees both.
  if listening and not exists (select from pgqueue._locks_held('wait')) then
    perform pg_advisory_lock_shared(pgqueue._lock_class('wait'), 0);
  end if;
  insert into pgqueue.waiter (job_id, expires_at)
  select distinct j.id, pgqueue._now() + lasting from unnest(jobs) j(id) where j.id is not null;
  return query select j.id, pgqueue._state(j.id, true) from unnest(jobs) with ordinality j(id, ord) order by j.ord;
end $$;

comment on function pgqueue.watch is
'Says that this session waits for these jobs, for at most that long, and returns their states as of now. Call it on the connection that listens to the channel
pgqueue_done, where the id of each job is sent when it ends. A job that ends in the same instant may be missed by both: look again once after the call,
and poll now and then. Ids of batches and slow queries do as well as those of jobs. listening: hold the session lock that makes settles look for waiters; give false behind a transaction pooler. Errors: PQ001, PQ002.';
