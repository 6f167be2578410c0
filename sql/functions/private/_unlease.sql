-- Takes jobs out of a lease the caller has locked; the last one deletes it. A job named twice in one call would end twice: refused here, where
-- counting costs nothing. `not in` a subquery is looked up in a hash, whatever joins the caller forbids; `<> all` compares each with each.
create function pgqueue._unlease(lease pgqueue.lease, jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_jobs bigint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  select array_agg(h.id order by h.ord), array_agg(h.attempt order by h.ord), case when (lease).traits is not null then array_agg(h.traits order by h.ord) end
  into v_jobs, v_attempts, v_traits
  from unnest((lease).job_ids, (lease).attempts, (lease).traits) with ordinality h(id, attempt, traits, ord)
  where h.id not in (select j.id from unnest(jobs) j(id));
  if coalesce(cardinality(v_jobs), 0) + cardinality(jobs) <> cardinality((lease).job_ids) then
    perform pgqueue._refuse('PQ001', 'a job appears twice in one call', 'Settle each job once.');
  end if;
  if v_jobs is null then
    delete from pgqueue.lease l where l.id = (lease).id;
  else
    update pgqueue.lease l set job_ids = v_jobs, attempts = v_attempts, traits = v_traits where l.id = (lease).id;
  end if;
end $$;
