-- A job that is retried waits for those of its parents that live again, by the policy it was enqueued with. False when none does: it runs. One that blocks its group
-- keeps its place meanwhile (trait 32768), and comes back to it.
create function pgqueue._hold_again(job pgqueue.job) returns boolean
language plpgsql
as $$
declare
  v_parents bigint[];
begin
  v_parents := array(
    select p.id from unnest((job).depends_on) p(id)
    where (select o.job_id from pgqueue.outcome o where o.job_id = p.id) is null
      and ((select j.id from pgqueue.job j where j.id = p.id) is not null or (select b.id from pgqueue.batch b where b.id = p.id and b.done_at is null) is not null));
  if cardinality(v_parents) = 0 then
    return false;
  end if;
  -- The others count: when one of them is retried later, this job waits for it no more.
  update pgqueue.dependency d set counted = d.parent_id <> all(v_parents)
  where d.parent_id = any((job).depends_on) and d.child_id = (job).id and d.counted = (d.parent_id = any(v_parents));
  insert into pgqueue.dependent (job_id, pending, traits, policy, priority, attempt, queue)
  select (job).id, cardinality(v_parents),
    pgqueue._traits((job).unique_key, (job).group_key, (job).timeout, (job).heartbeat, null) + pgqueue._flow_traits((job).id)
      + case when (job).kind = 'sql.query' then 128 else 0 end
      + case when exists (select from pgqueue.slot s where s.job_id = (job).id) then 32768 else 0 end,
    (select d.policy from pgqueue.dependency d where d.parent_id = v_parents[1] and d.child_id = (job).id), (job).priority, 0, (job).queue;
  insert into pgqueue.parent_look (seq, job_id, low, high, parked)
  select nextval('pgqueue.job_id'), p.id, (job).id, (job).id, false from unnest(v_parents) p(id);
  return true;
end $$;
