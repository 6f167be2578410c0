-- Items of a queue that nobody executes any more or nobody asks for any more. A null leaves that half out. Requests count from the latest deadline any of them has,
-- those without one from when they came. A worker's heartbeat is that of all it executes.
create function pgqueue._keyed_lapsed(queue text, heartbeat_ms bigint, orphan_ms bigint)
returns table (id bigint, key text, why text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
begin
  if heartbeat_ms is not null then
    return query
    select i.job_id, i.key, 'stalled'
    from pgqueue.keyed_item i
    where i.queue = _keyed_lapsed.queue and i.lease_id is not null
      and greatest(i.heartbeat_at, (
        select w.heartbeat_at from pgqueue.worker w where w.id = (select l.worker_id from pgqueue.lease l where l.id = i.lease_id))) < v_now - pgqueue._ms(heartbeat_ms)
    order by i.job_id + 0;
  end if;
  if orphan_ms is not null then
    return query
    select i.job_id, i.key, 'orphaned'
    from pgqueue.keyed_item i
    where i.queue = _keyed_lapsed.queue and i.lease_id is null
      and coalesce(i.orphan_at, i.created_at + pgqueue._ms(orphan_ms)) < v_now
      and coalesce((
        select max(coalesce(r.orphan_at, r.at + pgqueue._ms(orphan_ms))) from pgqueue.keyed_request r where r.job_id = i.job_id) < v_now, true)
    order by i.job_id + 0;
  end if;
end $$;
