create function pgqueue._note_event(job bigint, event text, data jsonb) returns void
language plpgsql
as $$
begin
  insert into pgqueue.job_event (job_id, at, event, data) values (job, pgqueue._now(), _note_event.event, _note_event.data);
end $$;
