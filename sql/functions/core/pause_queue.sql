create function pgqueue.pause_queue(queue text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 200);
  insert into pgqueue.queue (name, updated_at) values (pause_queue.queue, pgqueue._now()) on conflict do nothing;
  update pgqueue.queue q set paused_at = pgqueue._now(), updated_at = pgqueue._now()
  where q.name = pause_queue.queue and q.paused_at is null;
  return found;
end $$;

comment on function pgqueue.pause_queue is
'Stops claims from a queue, now and after restarts, until resume_queue. What runs goes on; enqueue goes on. Returns whether that changed anything. A queue
nobody has used yet can be paused. Errors: PQ001.';
