-- Part of the duty tidy: starts that no window reaches any more. Each row says when that should be so, and is asked again then: a period may have become longer meanwhile.
create function pgqueue._tidy_starts() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_done bigint := 0;
begin
  for v_round in 1..10 loop
    select * into v_cursor from pgqueue._due_cursor('rate_start');
    v_picked := array(
      select r.ctid from pgqueue.rate_start r
      where r.expires_at < v_now and r.expires_at >= v_cursor.floor order by r.expires_at limit 5000 for update skip locked);
    select r.expires_at into v_first from pgqueue.rate_start r where r.ctid = v_picked[1];
    perform pgqueue._set_due_cursor('rate_start', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
    update pgqueue.rate_start r set expires_at = r.started_at + (select coalesce(q.rate_period, '1 second') from pgqueue.queue q where q.name = r.queue)
    where r.ctid = any(v_picked) and r.started_at >= v_now - (select coalesce(q.rate_period, '1 second') from pgqueue.queue q where q.name = r.queue);
    delete from pgqueue.rate_start r where r.ctid = any(v_picked);
    v_done := v_done + cardinality(v_picked);
    exit when cardinality(v_picked) < 5000;
  end loop;
  for v_round in 1..10 loop
    select * into v_cursor from pgqueue._due_cursor('group_start');
    v_picked := array(
      select r.ctid from pgqueue.group_start r
      where r.expires_at < v_now and r.expires_at >= v_cursor.floor order by r.expires_at limit 5000 for update skip locked);
    select r.expires_at into v_first from pgqueue.group_start r where r.ctid = v_picked[1];
    perform pgqueue._set_due_cursor('group_start', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
    update pgqueue.group_start r set expires_at = r.started_at + pgqueue._group_period(r.queue, r.group_key)
    where r.ctid = any(v_picked) and r.started_at >= v_now - pgqueue._group_period(r.queue, r.group_key);
    delete from pgqueue.group_start r where r.ctid = any(v_picked);
    v_done := v_done + cardinality(v_picked);
    exit when cardinality(v_picked) < 5000;
  end loop;
  return v_done;
end $$;
