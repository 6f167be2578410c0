-- Each statement sees every member in one state. Members that were enqueued together are nearly all there is between the first and the last of them: then that range is read, and what is not a member is
-- left out by a hash, which for a million takes four seconds; to look for each in turn takes sixteen.
create function pgqueue.group_status(id bigint)
returns table (total integer, pending integer, succeeded integer, failed integer, cancelled integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_parents bigint[] := pgqueue._parents_of(group_status.id);
begin
  total := coalesce(cardinality(v_parents), 0);
  if v_parents[total] - v_parents[1] < 4 * total then
    select count(*) filter (where m.state is null), count(*) filter (where m.state = 'failed'), count(*) filter (where m.state = 'cancelled') into pending, failed, cancelled
    from (
      select j.id, o.state
      from (select j.id from pgqueue.job j where j.id between v_parents[1] and v_parents[total] offset 0) j
      left join (select o.job_id, o.state from pgqueue.outcome o where o.job_id between v_parents[1] and v_parents[total] offset 0) o on o.job_id = j.id) m
    where m.id in (select p from unnest(v_parents) p);
  else
    select m.live - o.ended, o.failed, o.cancelled into pending, failed, cancelled
    from (select count(*) as live from pgqueue.job j where j.id between v_parents[1] and v_parents[total] and j.id = any(v_parents)) m
    cross join (
      select count(*) as ended, count(*) filter (where o.state = 'failed') as failed, count(*) filter (where o.state = 'cancelled') as cancelled
      from pgqueue.outcome o where o.job_id between v_parents[1] and v_parents[total] and o.job_id = any(v_parents)) o;
  end if;
  select pending + count(*) filter (where b.done_at is null), failed + count(*) filter (where b.status = 'failed'), cancelled + count(*) filter (where b.status = 'aborted')
  into pending, failed, cancelled
  from pgqueue.batch b where b.id = any(v_parents);
  succeeded := total - pending - failed - cancelled;
  return next;
end $$;

comment on function pgqueue.group_status is
'How far the jobs are that a job or a batch waits for, such as the members of a group whose completion job it is: how many, and how many of them have not ended, succeeded, failed, were cancelled.
Those that are forgotten, their queue keeping no history, count as succeeded. Errors: PQ002.';
