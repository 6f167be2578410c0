-- Of jobs that end those that give up the place in their group: all but those that have failed in a queue where that blocks their group, which keep it (state 3).
create function pgqueue._not_blocking(jobs bigint[], states text[]) returns bigint[]
language plpgsql
as $$
declare
  v_blocking bigint[];
begin
  v_blocking := array(
    select s.job_id from pgqueue.slot s
    where s.job_id = any(array(select e.id from unnest(jobs, states) e(id, state) where e.state = 'failed'))
      and (select q.group_failure from pgqueue.queue q where q.name = s.queue) = 'block' for no key update);
  update pgqueue.slot s set state = 3 where s.job_id = any(v_blocking);
  return array(select e.id from unnest(jobs) e(id) where e.id <> all(v_blocking));
end $$;
