-- Upkeep: what nobody needs any more. Doubled lanes, waiters that gave up, progress and cancel requests of jobs that are not running.
create function pgqueue._duty_tidy() returns bigint
language plpgsql
as $$
declare
  v_rows bigint;
  v_done bigint := 0;
begin
  delete from pgqueue.lane l
  where exists (
    select from pgqueue.lane o
    where o.queue = l.queue and o.priority = l.priority and (o.grouped > l.grouped or (o.grouped = l.grouped and o.ctid < l.ctid)));
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;
  delete from pgqueue.waiter w where w.expires_at < pgqueue._now();
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;
  delete from pgqueue.cancel_request c
  where c.requested_at < pgqueue._now() - interval '1 minute'
    and (exists (select from pgqueue.outcome o where o.job_id = c.job_id) or not exists (select from pgqueue.job j where j.id = c.job_id));
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;
  delete from pgqueue.progress p
  where p.ctid = any(array(
    select p.ctid from pgqueue.progress p
    where p.heartbeat_at < pgqueue._now() - interval '1 hour'
      and (exists (select from pgqueue.outcome o where o.job_id = p.job_id) or not exists (select from pgqueue.job j where j.id = p.job_id))
    limit 10000));
  get diagnostics v_rows = row_count;
  return v_done + v_rows;
end $$;
