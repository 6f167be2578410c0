-- Ends the slices of an aborted batch that wait where most do, all at once; the few that are elsewhere, or running, are for cancel.
create function pgqueue._drop_slices(batch pgqueue.batch, slices bigint[]) returns void
language plpgsql
as $$
declare
  v_gone bigint[];
  v_more bigint[];
  v_traits integer[];
  v_attempts smallint[];
  v_more_traits integer[];
begin
  if cardinality(slices) = 0 then
    return;
  end if;
  with picked as (
    select r.ctid from pgqueue.ready r
    where r.queue = (batch).queue and r.priority = (batch).priority and r.seq between slices[1] and slices[cardinality(slices)] and r.job_id = any(slices) and r.seq = r.job_id
    for update skip locked),
  gone as (delete from pgqueue.ready r where r.ctid = any(array(select p.ctid from picked p)) returning r.job_id, r.traits)
  select array_agg(g.job_id), array_agg(g.traits) into v_gone, v_traits from gone g;
  -- Those that have been given back or wait for another try.
  with again as (
    delete from pgqueue.ready r
    where r.ctid = any(array(select r.ctid from pgqueue.ready r where r.job_id = any(slices) and r.seq <> r.job_id for update skip locked)) returning r.job_id, r.traits, r.attempt),
  later as (
    delete from pgqueue.scheduled r
    where r.ctid = any(array(select r.ctid from pgqueue.scheduled r where r.job_id = any(slices) for update skip locked)) returning r.job_id, r.traits, r.attempt),
  gone as (select a.* from again a union all select l.* from later l)
  select array_agg(g.job_id), array_agg(g.traits), array_agg(g.attempt) into v_more, v_more_traits, v_attempts from gone g;
  v_attempts := array_fill(0::smallint, array[coalesce(cardinality(v_gone), 0)]) || v_attempts;
  v_gone := v_gone || v_more;
  v_traits := v_traits || v_more_traits;
  with gone as (delete from pgqueue.held h where h.batch_id = (batch).id returning h.job_id, h.traits)
  select array_agg(g.job_id), array_agg(g.traits) into v_more, v_more_traits from gone g;
  v_gone := v_gone || v_more;
  v_traits := v_traits || v_more_traits;
  if v_gone is not null then
    perform pgqueue._finish(v_gone, array_fill('cancelled'::text, array[cardinality(v_gone)]), array_fill('cancelled_by_user'::text, array[cardinality(v_gone)]),
      v_attempts || array_fill(0::smallint, array[cardinality(v_gone) - cardinality(v_attempts)]), array(select t & ~512 from unnest(v_traits) t), null, null, null, pgqueue._forget((select q.history from pgqueue.queue q where q.name = (batch).queue)));
  end if;
end $$;
