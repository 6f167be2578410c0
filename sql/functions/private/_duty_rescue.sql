-- Upkeep: workers whose heartbeat ran out, and leases whose worker is gone.
create function pgqueue._duty_rescue() returns bigint
language plpgsql
as $$
declare
  v_worker bigint;
  v_done bigint := 0;
begin
  for v_worker in
    select w.id from pgqueue.worker w
    where w.heartbeat_at < pgqueue._now() - (select c.lost_after from pgqueue.config c)
    order by w.id limit 100 for update skip locked
  loop
    v_done := v_done + pgqueue._lose_worker(v_worker);
  end loop;
  for v_worker in
    select distinct l.worker_id from pgqueue.lease l
    where not exists (select from pgqueue.worker w where w.id = l.worker_id) order by 1 limit 100
  loop
    v_done := v_done + pgqueue._lose_worker(v_worker);
  end loop;
  return v_done;
end $$;
