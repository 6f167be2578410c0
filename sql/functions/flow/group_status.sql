-- Counted by ranges and arrays, so that a million members take a second. Outcomes last: a member that ends between two looks is counted as pending or not, never twice.
create function pgqueue.group_status(id bigint)
returns table (total integer, pending integer, succeeded integer, failed integer, cancelled integer)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_parents bigint[] := pgqueue._parents_of(group_status.id);
begin
  total := coalesce(cardinality(v_parents), 0);
  select count(*) filter (where m.live and m.state is null), count(*) filter (where m.state = 'failed'), count(*) filter (where m.state = 'cancelled')
  into pending, failed, cancelled
  from (
    select true as live, (select o.state::text from pgqueue.outcome o where o.job_id = j.id) as state
    from pgqueue.job j where j.id between v_parents[1] and v_parents[total] and j.id = any(v_parents)
    union all
    select true, case when b.done_at is not null then case b.status when 'aborted' then 'cancelled' else b.status end end
    from pgqueue.batch b where b.id = any(v_parents)) m;
  succeeded := total - pending - failed - cancelled;
  return next;
end $$;

comment on function pgqueue.group_status is
'How far the jobs are that a job or a batch waits for, such as the members of a group whose completion job it is: how many, and how many of them have not ended, succeeded, failed, were cancelled.
Those that are forgotten, their queue keeping no history, count as succeeded. Errors: PQ002.';
