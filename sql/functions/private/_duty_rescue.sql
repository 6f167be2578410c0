-- Upkeep: workers whose heartbeat ran out, and leases whose worker is gone. The batches of all of them are locked before anything else of the pass is; where somebody keeps one for
-- long, only the leases that carry its rows wait for another pass, and so do those that came meanwhile.
create function pgqueue._duty_rescue() returns bigint
language plpgsql
as $$
declare
  v_worker bigint;
  v_slices bigint[];
  v_done bigint := 0;
begin
  v_slices := array(
    select l.id from pgqueue.lease l
    where l.traits is not null and l.worker_id <> 0
      and not coalesce((select w.heartbeat_at from pgqueue.worker w where w.id = l.worker_id) >= pgqueue._now() - (select c.lost_after from pgqueue.config c), false));
  if cardinality(v_slices) > 0 then
    begin
      perform pgqueue._lock_batches(v_slices);
    exception
      when lock_not_available or deadlock_detected then v_slices := pgqueue._try_batches(v_slices);
    end;
  end if;
  for v_worker in
    select w.id from pgqueue.worker w
    where w.heartbeat_at < pgqueue._now() - (select c.lost_after from pgqueue.config c)
    order by w.id limit 100 for update skip locked
  loop
    v_done := v_done + pgqueue._lose_worker(v_worker, v_slices);
  end loop;
  for v_worker in
    select distinct l.worker_id from pgqueue.lease l
    where l.worker_id <> 0 and not exists (select from pgqueue.worker w where w.id = l.worker_id) order by 1 limit 100
  loop
    v_done := v_done + pgqueue._lose_worker(v_worker, v_slices);
  end loop;
  return v_done;
end $$;
