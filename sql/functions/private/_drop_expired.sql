-- Of jobs just leased: those whose queue timeout has passed before they ever started fail now instead of being handed out. Returns the leases that are left.
create function pgqueue._drop_expired(leases bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_lease pgqueue.lease;
  v_new bigint[];
  v_late bigint[];
begin
  for v_lease in select * from pgqueue.lease l where l.id = any(leases) and l.traits is not null loop
    v_new := array(select e.id from unnest(v_lease.job_ids, v_lease.traits) e(id, traits) where e.traits & 16 <> 0);
    v_late := array(
      select j.id from pgqueue.job j
      where j.id between (select min(i) from unnest(v_new) i) and (select max(i) from unnest(v_new) i) and j.id = any(v_new)
        and j.expires_at <= pgqueue._now());
    continue when cardinality(v_late) = 0;
    perform pgqueue._unlease(v_lease, v_late);
    perform pgqueue._finish(array[e.id], array['failed'], array['queue_timeout'], array[e.attempt - 1]::smallint[], array[e.traits], null, null, null, v_lease.forget)
    from unnest(v_lease.job_ids, v_lease.attempts, v_lease.traits) e(id, attempt, traits) where e.id in (select i from unnest(v_late) i);
  end loop;
  return array(select l.id from pgqueue.lease l where l.id = any(leases) order by l.id);
end $$;
