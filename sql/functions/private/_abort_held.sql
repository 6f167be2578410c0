-- Aborts rows of a batch that never ran: those of its slices in `held` with ids from low to high. The caller has its counters locked. Returns how many slices it has ended.
create function pgqueue._abort_held(batch bigint, low bigint, high bigint) returns bigint
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
as $$
#variable_conflict use_column
declare
  v_now timestamptz := pgqueue._now();
  v_jobs bigint[];
  v_traits integer[];
  v_rows integer;
begin
  with picked as materialized (
    select h.ctid from pgqueue.held h where h.job_id between low and high and h.batch_id = batch for update skip locked),
  gone as (delete from pgqueue.held h where h.ctid = any(array(select p.ctid from picked p)) returning h.job_id, h.traits)
  select array_agg(g.job_id order by g.job_id), array_agg(g.traits & ~512 order by g.job_id) into v_jobs, v_traits from gone g;
  if v_jobs is null then
    return 0;
  end if;
  insert into pgqueue.row_outcome (batch_id, line, row_id, status, done_at)
  select batch, (r.value ->> 1)::integer, (r.value ->> 0)::integer, 'aborted', v_now
  from unnest(v_jobs) s(id)
  cross join lateral (select j.args from pgqueue.job j where j.id = s.id offset 0) j
  cross join lateral jsonb_array_elements(j.args -> 'rows') r(value)
  on conflict do nothing;
  get diagnostics v_rows = row_count;
  update pgqueue.batch_count c set pending = c.pending - v_rows, aborted = c.aborted + v_rows where c.batch_id = batch;
  perform pgqueue._finish(v_jobs, array_fill('cancelled'::text, array[cardinality(v_jobs)]), array_fill('parent_failed'::text, array[cardinality(v_jobs)]),
    array_fill(0::smallint, array[cardinality(v_jobs)]), v_traits, null, null, null,
    pgqueue._forget((select q.history from pgqueue.queue q where q.name = (select b.queue from pgqueue.batch b where b.id = batch))));
  return cardinality(v_jobs);
end $$;
