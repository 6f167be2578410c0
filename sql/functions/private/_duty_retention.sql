-- Upkeep: history past its retention goes. A block whose every job is final and past retention is dropped whole. One that stragglers keep alive for long
-- (live jobs, queues with a longer retention) is thinned by deleting what is past; one that will be past as a whole before long is waited for, as
-- dropping costs nothing and deleting does. One block a pass: looking through a full block takes a while. It is looked through job by job, which ends at the
-- thousandth that keeps it; a join of jobs with outcomes reads both whole first.
create function pgqueue._duty_retention() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_last bigint;
  v_block pgqueue.block;
  v_retention interval;
  v_own boolean;
  v_table text;
  v_kept record;
  v_done bigint := 0;
begin
  select s.last_value into v_last from pgqueue.job_id s;
  select * into v_block from pgqueue.block b
  where b.high <= v_last and b.look_again_at <= v_now order by b.look_again_at, b.low limit 1 for update skip locked;
  if not found then
    return pgqueue._thin(null, null);
  end if;
  select c.retention, exists (select from pgqueue.queue q where q.retention is not null) into v_retention, v_own from pgqueue.config c;
  select count(*) as rows, bool_or(k.until is null) as live, max(k.until) as until into v_kept
  from (
    select o.until
    from (select j.id, j.queue from pgqueue.job j where j.id >= v_block.low and j.id < v_block.high order by j.id) j
    left join lateral (
      select o.finished_at + coalesce(case when v_own then (select q.retention from pgqueue.queue q where q.name = j.queue) end, v_retention) as until
      from pgqueue.outcome o where o.job_id = j.id and o.job_id >= v_block.low and o.job_id < v_block.high offset 0) o on true
    where o.until is null or o.until > v_now
    limit 1000) k;
  if v_kept.rows > 0 then
    if v_kept.live or v_kept.until > v_now + (select c.block_age from pgqueue.config c) then
      v_done := pgqueue._thin(v_block.low, v_block.high);
    end if;
    update pgqueue.block b
    set look_again_at = case
      when v_done >= 10000 then v_now
      else v_now + least(interval '1 hour', greatest(coalesce(v_kept.until - v_now, interval '1 hour'), interval '1 second')) end
    where b.low = v_block.low;
    return v_done;
  end if;
  -- Dropping locks the parents for a moment, and a user's open transaction may hold them for long: a short wait, else another time.
  begin
    set local lock_timeout = '100ms';
    lock table only pgqueue.job, only pgqueue.outcome, only pgqueue.attempt_error, only pgqueue.job_log, only pgqueue.job_event in access exclusive mode;
    -- A transaction that drew its ids long ago may have committed since the look.
    if not pgqueue._any_live(v_block.low, v_block.high) then
      foreach v_table in array array['job', 'outcome', 'attempt_error', 'job_log', 'job_event'] loop
        execute format('drop table pgqueue.%I', v_table || '_' || v_block.low);
      end loop;
      delete from pgqueue.block b where b.low = v_block.low;
      v_done := 1;
    end if;
  exception
    when lock_not_available then
      update pgqueue.block b set look_again_at = v_now + interval '10 seconds' where b.low = v_block.low;
  end;
  return v_done;
end $$;
