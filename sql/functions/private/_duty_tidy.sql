-- Upkeep: what nobody needs any more. Doubled lanes, waiters that gave up, unique keys whose time is over, progress and cancel requests of jobs that are not running. Each by a bounded number
-- of rows a pass: waiters by their time, the others a slice after the one of the last pass (see _next_slice).
create function pgqueue._duty_tidy() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_jobs bigint[];
  v_rows bigint;
  v_done bigint := 0;
begin
  delete from pgqueue.lane l
  where l.ctid = any(array(
    select o.ctid
    from (select o.ctid, row_number() over (partition by o.queue, o.priority order by o.grouped desc, o.ctid) as nth from pgqueue.lane o) o
    where o.nth > 1));
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  select * into v_cursor from pgqueue._due_cursor('waiter');
  v_picked := array(
    select w.ctid from pgqueue.waiter w
    where w.expires_at < v_now and w.expires_at >= v_cursor.floor order by w.expires_at limit 5000 for update skip locked);
  select w.expires_at into v_first from pgqueue.waiter w where w.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('waiter', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  delete from pgqueue.waiter w where w.ctid = any(v_picked);
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  -- Not at once: an enqueue that waits for another goes by the time at which it was called, and would find no trace of a period that had not passed then.
  select * into v_cursor from pgqueue._due_cursor('unique_key');
  v_picked := array(
    select k.ctid from pgqueue.job_key k
    where k.until < v_now - interval '1 minute' and k.until >= v_cursor.floor order by k.until limit 5000 for update skip locked);
  select k.until into v_first from pgqueue.job_key k where k.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('unique_key', v_first, v_now - interval '1 minute', v_cursor.sweep_started, v_cursor.expires);
  delete from pgqueue.job_key k where k.ctid = any(v_picked);
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  -- Keys that were left behind. Locked first and looked at afterwards, as in _seize_key.
  v_jobs := array(select l.job_id from pgqueue.left_key l where l.job_id > pgqueue._slice('left_key') order by l.job_id limit 500);
  perform pgqueue._next_slice('left_key', v_jobs, 500);
  v_picked := array(
    select k.ctid from unnest(v_jobs) j cross join lateral (select k.ctid from pgqueue.job_key k where k.job_id = j order by k.job_id for update skip locked) k);
  delete from pgqueue.job_key k
  where k.ctid = any(v_picked) and (select l.job_id from pgqueue.left_key l where l.job_id = k.job_id) is not null;
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;
  delete from pgqueue.left_key l
  where l.job_id = any(v_jobs) and (select k.job_id from pgqueue.job_key k where k.job_id = l.job_id) is null;

  v_jobs := array(
    select c.job_id from pgqueue.cancel_request c where c.job_id > pgqueue._slice('cancel_request') order by c.job_id limit 5000);
  perform pgqueue._next_slice('cancel_request', v_jobs, 5000);
  delete from pgqueue.cancel_request c
  where c.job_id = any(v_jobs) and c.requested_at < v_now - interval '1 minute'
    and ((select o.job_id from pgqueue.outcome o where o.job_id = c.job_id) is not null
      or (select j.id from pgqueue.job j where j.id = c.job_id) is null);
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  v_jobs := array(
    select p.job_id from pgqueue.progress p where p.job_id > pgqueue._slice('progress') order by p.job_id limit 5000);
  perform pgqueue._next_slice('progress', v_jobs, 5000);
  delete from pgqueue.progress p
  where p.job_id = any(v_jobs) and p.heartbeat_at < v_now - interval '1 hour'
    and ((select o.job_id from pgqueue.outcome o where o.job_id = p.job_id) is not null
      or (select j.id from pgqueue.job j where j.id = p.job_id) is null);
  get diagnostics v_rows = row_count;
  return v_done + v_rows + pgqueue._tidy_flow();
end $$;
