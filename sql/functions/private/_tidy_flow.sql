-- Upkeep: who waited for whom, and follow-ups, of jobs whose rows are gone. A slice a pass, as _duty_tidy does it; one by parent and child, since a parent may have a million.
-- And jobs that would wait until a failed one is retried, which it cannot be any more as it is forgotten: they are cancelled. Not those for which parent_look still asks how it ended.
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
  v_gone bigint[];
  v_child bigint;
  v_traits integer;
  v_was record;
begin
  select array_agg(s.parent_id), array_agg(s.child_id) into v_parents, v_children
  from (
    select d.parent_id, d.child_id from pgqueue.dependency d
    where (d.parent_id, d.child_id) > (pgqueue._slice('dependency'), pgqueue._slice('dependency_child'))
    order by d.parent_id, d.child_id limit 5000) s;
  perform pgqueue._next_slice('dependency', coalesce(v_parents, '{}'), 5000), pgqueue._next_slice('dependency_child', coalesce(v_children, '{}'), 5000);
  delete from pgqueue.dependency d
  where d.ctid = any(array(
    select d.ctid from unnest(v_parents, v_children) s(parent, child)
    cross join lateral (select d.ctid from pgqueue.dependency d where d.parent_id = s.parent and d.child_id = s.child offset 0) d
    where (select j.id from pgqueue.job j where j.id = s.child) is null));
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  v_gone := array(
    select distinct s.parent from unnest(v_parents, v_children) s(parent, child)
    where (select d.policy from pgqueue.dependency d where d.parent_id = s.parent and d.child_id = s.child and not d.counted) = 'wait'
      and (select w.job_id from pgqueue.dependent w where w.job_id = s.child) is not null
      and (select j.id from pgqueue.job j where j.id = s.parent) is null
      and (select b.id from pgqueue.batch b where b.id = s.parent) is null
    limit 100);
  if cardinality(v_gone) > 0 then
    v_gone := array(select g from unnest(v_gone) g where g not in (select l.job_id from pgqueue.parent_look l where l.job_id = any(v_gone)));
    for v_child in
      select distinct s.child from unnest(v_parents, v_children) s(parent, child) where s.parent = any(v_gone) order by 1 limit 1000
    loop
      select bit_or(w.traits) into v_traits from (select w.traits from pgqueue.dependent w where w.job_id = v_child for update skip locked) w;
      continue when v_traits is null or v_traits & 512 <> 0 and pgqueue._try_gates(array[v_child]) = '{}';
      select * into v_was from pgqueue._withdraw(v_child);
      perform pgqueue._finish(array[v_child], array['cancelled'], array['parent_failed'], array[v_was.attempt], array[v_was.traits], null, null, null,
        pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_was.queue)));
      v_done := v_done + 1;
    end loop;
  end if;

  v_jobs := array(
    select f.job_id from pgqueue.follow_up f where f.job_id > pgqueue._slice('follow_up') order by f.job_id limit 5000);
  perform pgqueue._next_slice('follow_up', v_jobs, 5000);
  delete from pgqueue.follow_up f where f.job_id = any(v_jobs) and (select j.id from pgqueue.job j where j.id = f.job_id) is null
    and (select b.id from pgqueue.batch b where b.id = f.job_id) is null;
  get diagnostics v_rows = row_count;
  v_done := v_done + v_rows;

  delete from pgqueue.late_follow_up l
  where l.seq = any(array(select l.seq from pgqueue.late_follow_up l order by l.seq limit 1000))
    and l.error is not null and l.made_at < pgqueue._now() - (select c.retention from pgqueue.config c);
  get diagnostics v_rows = row_count;
  return v_done + v_rows;
end $$;
