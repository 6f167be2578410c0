-- For functions that change a waiting job: why it is not waiting. Unknown is an error; otherwise its state, running or final.
create function pgqueue._standing(job bigint) returns text
language plpgsql
as $$
declare
  v_state text;
begin
  select o.state::text into v_state from pgqueue.outcome o where o.job_id = job;
  if not found then
    if not exists (select from pgqueue.job j where j.id = job) then
      perform pgqueue._unknown_job(job, 'It was never enqueued, its transaction was rolled back, or it is past its retention.');
    end if;
    v_state := case when (pgqueue._lease_of(job)).id is not null then 'running' end;
  end if;
  return v_state;
end $$;
