-- Upkeep: jobs that waited in vain. A queue timeout counts until a job first starts, and then loses its trait; one that is running, has started before,
-- or is final is left alone and only its deadline row goes.
create function pgqueue._duty_expire() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_cursor record;
  v_picked tid[];
  v_first timestamptz;
  v_job bigint;
  v_was record;
  v_done bigint := 0;
begin
  select * into v_cursor from pgqueue._due_cursor('deadline');
  v_picked := array(
    select d.ctid from pgqueue.deadline d
    where d.expires_at <= v_now and d.expires_at >= v_cursor.floor order by d.expires_at limit 1000 for update skip locked);
  select d.expires_at into v_first from pgqueue.deadline d where d.ctid = v_picked[1];
  perform pgqueue._set_due_cursor('deadline', v_first, v_now, v_cursor.sweep_started, v_cursor.expires);
  for v_job in
    with due as (delete from pgqueue.deadline d where d.ctid = any(v_picked) returning d.job_id)
    select due.job_id from due order by due.job_id
  loop
    continue when not exists (
      select from pgqueue._in_ready(v_job) w where w.traits & 16 <> 0
      union all select from pgqueue.scheduled w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.arrival w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.blocked w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.suspect w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.line w where w.job_id = v_job and w.traits & 16 <> 0
      union all select from pgqueue.dependent w where w.job_id = v_job and w.traits & 16 <> 0);
    if not pgqueue._try_place(v_job) then
      -- Somebody is at it just now, perhaps for long: the next pass asks again.
      insert into pgqueue.deadline (expires_at, job_id) values (v_now, v_job);
      continue;
    end if;
    select * into v_was from pgqueue._withdraw(v_job);
    perform pgqueue._finish(array[v_job], array['failed'], array['queue_timeout'], array[v_was.attempt], array[v_was.traits], null, null, null,
      pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_was.queue)));
    v_done := v_done + 1;
  end loop;
  return v_done;
end $$;
