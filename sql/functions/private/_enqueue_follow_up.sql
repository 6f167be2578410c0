-- Enqueues one follow-up, or notes why not. An open transaction that holds its unique key is not waited for: upkeep tries again. A batch
-- has no attempts to note it with, and the block of its id may be gone.
create function pgqueue._enqueue_follow_up(parent bigint, follow_up jsonb) returns boolean
language plpgsql
set lock_timeout = '10ms'
as $$
declare
  v_problem text;
  v_code text;
begin
  perform pgqueue._store_jobs(array[pgqueue._new_job(follow_up, pgqueue._now())], pgqueue._now());
  return true;
exception
  when lock_not_available then
    insert into pgqueue.late_follow_up (seq, job_id, made_at, follow_up) values (nextval('pgqueue.job_id'), parent, pgqueue._now(), _enqueue_follow_up.follow_up);
    return false;
  when others then
    get stacked diagnostics v_problem = message_text, v_code = returned_sqlstate;
    insert into pgqueue.late_follow_up (seq, job_id, made_at, follow_up, error)
    values (nextval('pgqueue.job_id'), parent, pgqueue._now(), _enqueue_follow_up.follow_up, format('%s (%s)', v_problem, v_code));
    insert into pgqueue.attempt_error (job_id, failed_at, attempt, reason, error)
    select parent, pgqueue._now(), 0, 'follow_up', jsonb_build_object('type', 'FollowUp', 'message', format('%s (%s)', v_problem, v_code), 'follow_up', follow_up)
    where exists (select from pgqueue.job j where j.id = parent);
    return true;
end $$;
