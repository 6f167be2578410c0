-- Notes in a job's history what was done to it from outside, for job_timeline. `event`: a word in the past tense; `data`: an object, whose values people read too.
create function pgqueue._note_event(job bigint, event text, data jsonb) returns void
language plpgsql
as $$
begin
  insert into pgqueue.job_event (job_id, at, event, data) values (_note_event.job, pgqueue._now(), _note_event.event, _note_event.data);
end $$;
