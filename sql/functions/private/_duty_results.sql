-- Upkeep: results of queries, scripts, and the audit trail, when they have expired. Bounded; chunks are what is large, so of those few at a time.
create function pgqueue._duty_results() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_job bigint;
  v_jobs bigint[];
  v_rows bigint;
  v_done bigint := 0;
begin
  for v_job in
    select r.job_id from pgqueue.query_run r where r.kept and r.expires_at <= v_now order by r.expires_at limit 1000 for update skip locked
  loop
    delete from pgqueue.query_chunk c
    where c.ctid = any(array(select c.ctid from pgqueue.query_chunk c where c.job_id = v_job order by c.job_id, c.run, c.n limit 2000 - v_done));
    get diagnostics v_rows = row_count;
    v_done := v_done + v_rows;
    exit when v_done >= 2000;
    update pgqueue.query_run r set kept = false where r.job_id = v_job;
  end loop;

  for v_job in
    select b.id from pgqueue.batch b where b.expires_at <= v_now order by b.expires_at limit 20 for update skip locked
  loop
    v_done := v_done + pgqueue._forget_batch(v_job)::integer;
  end loop;

  v_jobs := array(
    select s.job_id from pgqueue.script s where s.expires_at <= v_now order by s.expires_at limit 1000 for update skip locked);
  if cardinality(v_jobs) > 0 then
    delete from pgqueue.script_query q where q.job_id = any(v_jobs);
    delete from pgqueue.script s where s.job_id = any(v_jobs);
  end if;
  v_done := v_done + cardinality(v_jobs);

  v_jobs := array(
    select r.job_id from pgqueue.query_run r where r.forget_at <= v_now order by r.forget_at limit 1000 for update skip locked);
  if cardinality(v_jobs) > 0 then
    delete from pgqueue.query_caller c where c.job_id = any(v_jobs);
    delete from pgqueue.query_chunk c where c.job_id = any(v_jobs);
    delete from pgqueue.query q where q.job_id = any(v_jobs);
    delete from pgqueue.query_run r where r.job_id = any(v_jobs);
  end if;
  return v_done + cardinality(v_jobs) + pgqueue._keyed_tidy(v_now);
end $$;
