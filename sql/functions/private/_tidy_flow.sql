-- Upkeep: who waited for whom, and follow-ups, of jobs whose rows are gone. A slice a pass, as _duty_tidy does it; one by parent and child, since a parent may have a million.
create function pgqueue._tidy_flow() returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
as $$
#variable_conflict use_column
declare
  v_parents bigint[];
  v_children bigint[];
  v_jobs bigint[];
  v_rows bigint;
  v_done bigint := 0;
begin
  select array_agg(s.parent_id), array_agg(s.child_id) into v_parents, v_children
  from (
    select d.parent_id, d.child_id from pgqueue.dependency d
    where (d.parent_id, d.child_id) > (pgqueue._slice('dependency'), pgqueue._slice('dependency_child'))
    order by d.parent_id, d.child_id limit 5000) s;
  perform pgqueue._next_slice('dependency', coalesce(v_parents, '{}'), 5000), pgqueue._next_slice('dependency_child', coalesce(v_children, '{}'), 5000);
  delete from pgqueue.dependency d
  using unnest(v_parents, v_children) s(parent, child)
  where d.parent_id = s.parent and d.child_id = s.child and (select j.id from pgqueue.job j where j.id = s.child) is null;
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  v_jobs := array(
    select f.job_id from pgqueue.follow_up f where f.job_id > pgqueue._slice('follow_up') order by f.job_id limit 5000);
  perform pgqueue._next_slice('follow_up', v_jobs, 5000);
  delete from pgqueue.follow_up f where f.job_id = any(v_jobs) and (select j.id from pgqueue.job j where j.id = f.job_id) is null;
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  delete from pgqueue.late_follow_up l
  where l.seq = any(array(select l.seq from pgqueue.late_follow_up l order by l.seq limit 1000))
    and l.error is not null and l.made_at < pgqueue._now() - (select c.retention from pgqueue.config c);
  get diagnostics v_rows = row_count;
  return v_done + v_rows;
end $$;
