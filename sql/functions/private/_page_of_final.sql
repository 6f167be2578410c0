-- Ids for jobs(): final jobs in one state, newest first, among the newest `far` below `before`. Those that have succeeded are most of all jobs: where a filter
-- needs the job row, that comes first and its outcome is looked up; the unsuccessful have an index of their own.
create function pgqueue._page_of_final(queue text, kind text, state text, before bigint, far integer, most integer) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
  v_state pgqueue.final_state := state::pgqueue.final_state;
begin
  if v_state = 'succeeded' and num_nonnulls(queue, kind) = 0 then
    return array(
      select o.job_id from pgqueue.outcome o where o.job_id < before and o.state = v_state order by o.job_id desc limit most);
  elsif v_state = 'succeeded' then
    return array(
      select j.id
      from (select j.id, j.queue, j.kind from pgqueue.job j where j.id < before order by j.id desc limit far) j
      where (_page_of_final.queue is null or j.queue = _page_of_final.queue) and (_page_of_final.kind is null or j.kind = _page_of_final.kind)
        and (select o.state from pgqueue.outcome o where o.job_id = j.id) = v_state
      order by j.id desc limit most);
  end if;
  return array(
    select o.job_id
    from (
      select o.job_id from pgqueue.outcome o
      where o.job_id < before and o.state <> 'succeeded' and o.state = v_state order by o.job_id desc limit far) o
    where num_nonnulls(_page_of_final.queue, _page_of_final.kind) = 0
      or (select (_page_of_final.queue is null or j.queue = _page_of_final.queue) and (_page_of_final.kind is null or j.kind = _page_of_final.kind)
        from pgqueue.job j where j.id = o.job_id)
    order by o.job_id desc limit most);
end $$;
