-- Admits the next of these groups; those at which another session is at work just now get a row in their inbox that says "look again", and the next claim of the queue does.
create function pgqueue._admit_or_ask(queue text, groups text[], per integer) returns void
language plpgsql
as $$
begin
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  select nextval('pgqueue.job_id'), 0, 0, 0, _admit_or_ask.queue, g.key
  from unnest((pgqueue._admit_groups(_admit_or_ask.queue, groups, per, false)).passed) g(key);
end $$;
