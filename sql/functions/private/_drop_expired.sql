-- Of jobs just taken from ready: those whose queue timeout has passed before they ever started fail now instead of being handed out. Returns the rest.
create function pgqueue._drop_expired(
  inout jobs bigint[],
  inout attempts smallint[],
  inout traits integer[],
  inout queues text[])
language plpgsql
as $$
declare
  v_new bigint[];
  v_late bigint[];
  v_job record;
begin
  v_new := array(select e.id from unnest(jobs, _drop_expired.traits) e(id, traits) where e.traits & 16 <> 0);
  v_late := array(select j.id from pgqueue.job j where j.id = any(v_new) and j.expires_at <= pgqueue._now());
  if cardinality(v_late) = 0 then
    return;
  end if;
  for v_job in
    select e.id, e.attempt, e.traits, (
      select q.history from pgqueue.queue q where q.name = (select j.queue from pgqueue.job j where j.id = e.id)) as history
    from unnest(jobs, attempts, _drop_expired.traits) e(id, attempt, traits)
    where e.id = any(v_late)
  loop
    perform pgqueue._finish(array[v_job.id], array['failed'], array['queue_timeout'], array[v_job.attempt - 1]::smallint[], array[v_job.traits], null,
      null, null, pgqueue._forget(v_job.history));
  end loop;
  select array_agg(e.id order by e.ord), array_agg(e.attempt order by e.ord), array_agg(e.traits order by e.ord),
    case when queues is not null then array_agg(e.queue order by e.ord) end
  into jobs, attempts, traits, queues
  from unnest(jobs, attempts, _drop_expired.traits, queues) with ordinality e(id, attempt, traits, queue, ord)
  where e.id <> all(v_late);
end $$;
