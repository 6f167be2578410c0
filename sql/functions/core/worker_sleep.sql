create function pgqueue.worker_sleep(queues text[])
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform pgqueue._check_queues(queues);
  -- Two locks for each queue: see _wake.
  perform pg_advisory_lock_shared(pgqueue._lock_class('sleep'), q.key), pg_advisory_lock_shared(pgqueue._lock_class('asleep'), q.key)
  from (
    select hashtext(u.name) as key from unnest(queues) u(name)
    except select h from pgqueue._locks_held('sleep') h) q;
end $$;

comment on function pgqueue.worker_sleep is
'Says that this session, which listens to the channel pgqueue_wake, sleeps on these queues: until worker_wake or the end of the session, an enqueue into one
of them sends the queue''s name there. After it, claim once more before sleeping: what was enqueued just before was enqueued silently. Errors: PQ001.';
