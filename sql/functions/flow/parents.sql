create function pgqueue.parents(id bigint, after bigint default 0, max integer default 1000)
returns setof pgqueue.parent_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_parents bigint[] := pgqueue._parents_of(parents.id);
begin
  perform pgqueue._check_page(after, max);
  return query
  select p.id, coalesce(j.kind, case when pgqueue._batch_state(p.id) is not null then 'batch' end), coalesce(o.state::text, w.state, pgqueue._batch_state(p.id), case when j.id is null then 'succeeded' else 'running' end),
    coalesce(o.reason, b.reason), coalesce(o.result, b.result),
    case when o.state <> 'succeeded' then (
      select e.error from pgqueue.attempt_error e where e.job_id = p.id and e.reason <> 'follow_up' order by e.failed_at desc limit 1) else b.error end
  from (select p.id from unnest(v_parents) p(id) where p.id > parents.after order by p.id limit parents.max) p
  left join lateral (select * from pgqueue.job j where j.id = p.id offset 0) j on true
  left join lateral (select * from pgqueue.outcome o where o.job_id = p.id offset 0) o on true
  left join lateral pgqueue._waiting(j.id, j.queue, j.priority) w on o.job_id is null
  left join lateral (
    select r.reason, r.result, r.error from pgqueue.batch b cross join lateral pgqueue._batch_result(b.id) r
    where j.id is null and b.id = p.id and b.done_at is not null offset 0) b on true
  order by p.id;
end $$;

comment on function pgqueue.parents is
'The jobs that a job, or a batch, waits for or has waited for (depends_on), by id, with what became of them: at most max (1 to 10000) with ids after the given one. The kind of a batch or slow query
is batch. One that is forgotten, its queue keeping no history, counted as succeeded: its kind and result are null. Errors: PQ001, PQ002.';
