-- Ends the slices of an aborted batch that wait where most do, all at once; the few that are elsewhere, or running, are for cancel.
create function pgqueue._drop_slices(batch pgqueue.batch, slices bigint[]) returns void
language plpgsql
as $$
declare
  v_gone bigint[];
  v_more bigint[];
begin
  if cardinality(slices) = 0 then
    return;
  end if;
  with picked as (
    select r.ctid from pgqueue.ready r
    where r.queue = (batch).queue and r.priority = (batch).priority and r.seq between slices[1] and slices[cardinality(slices)] and r.job_id = any(slices) and r.seq = r.job_id
    for update skip locked),
  gone as (delete from pgqueue.ready r where r.ctid = any(array(select p.ctid from picked p)) returning r.job_id)
  select array_agg(g.job_id) into v_gone from gone g;
  with gone as (delete from pgqueue.held h where h.batch_id = (batch).id returning h.job_id)
  select array_agg(g.job_id) into v_more from gone g;
  v_gone := v_gone || v_more;
  if v_gone is not null then
    perform pgqueue._finish(v_gone, array_fill('cancelled'::text, array[cardinality(v_gone)]), array_fill('cancelled_by_user'::text, array[cardinality(v_gone)]),
      array_fill(0::smallint, array[cardinality(v_gone)]), null, null, null, null, pgqueue._forget((select q.history from pgqueue.queue q where q.name = (batch).queue)));
  end if;
end $$;
