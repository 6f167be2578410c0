create function pgqueue.children(id bigint, after bigint default 0, max integer default 1000)
returns setof pgqueue.child_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_page(after, max);
  perform pgqueue._state(children.id, true);
  return query
  select j.id, j.kind, coalesce(o.state::text, w.state, 'running')
  from (
    select d.child_id from pgqueue.dependency d
    where d.parent_id = children.id and d.child_id > children.after order by d.parent_id, d.child_id limit children.max) d
  cross join lateral (select * from pgqueue.job j where j.id = d.child_id offset 0) j
  left join lateral (select o.state, o.job_id from pgqueue.outcome o where o.job_id = j.id offset 0) o on true
  left join lateral pgqueue._waiting(j.id, j.queue, j.priority) w on o.job_id is null
  order by j.id;
end $$;

comment on function pgqueue.children is
'The jobs that wait for this job or have waited for it, by id; for a batch stands a job of the kind rows.gate, with the batch''s id in its args: at most max (1 to 10000) with ids after the given one. Errors: PQ001, PQ002.';
