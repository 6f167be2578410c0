-- The ids in depends_on of a job or batch, sorted; null when it waits for none.
create function pgqueue._parents_of(job bigint) returns bigint[]
language plpgsql
as $$
declare
  v_parents bigint[];
begin
  select j.depends_on into v_parents from pgqueue.job j where j.id = job;
  if not found then
    select j.depends_on into v_parents
    from pgqueue.batch b left join lateral (select j.depends_on from pgqueue.job j where j.id = b.gate offset 0) j on true where b.id = job;
  end if;
  if not found then
    perform pgqueue._unknown_job(job, 'It was never enqueued, its transaction was rolled back, it is past its retention, or its queue keeps no history.');
  end if;
  return v_parents;
end $$;
