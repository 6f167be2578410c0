create function pgqueue.job_heartbeat(lease bigint, job bigint, progress jsonb default null)
returns table (alive boolean, cancel_requested boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  alive := exists (select from pgqueue.lease l where l.id = job_heartbeat.lease and l.job_ids @> array[job_heartbeat.job]);
  cancel_requested := alive and exists (select from pgqueue.cancel_request c where c.job_id = job_heartbeat.job);
  if alive then
    insert into pgqueue.progress (job_id, lease_id, heartbeat_at, progress)
    values (job_heartbeat.job, job_heartbeat.lease, pgqueue._now(), job_heartbeat.progress)
    on conflict (job_id) do update
    set lease_id = excluded.lease_id, heartbeat_at = excluded.heartbeat_at, progress = coalesce(excluded.progress, progress.progress);
  end if;
  return next;
end $$;

comment on function pgqueue.job_heartbeat is
'Says that a running job gets on, with any JSON as its progress (null leaves the last one). alive = false: the lease does not hold the job any more, stop
working on it; nothing was written. cancel_requested: a cancel was asked for.';
