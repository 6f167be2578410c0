create function pgqueue.resume_queue(queue text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 200);
  update pgqueue.queue q set paused_at = null, updated_at = pgqueue._now()
  where q.name = resume_queue.queue and q.paused_at is not null;
  if not found then
    return false;
  end if;
  perform pgqueue._wake(queue);
  return true;
end $$;

comment on function pgqueue.resume_queue is
'Lets claims from a paused queue go on. Returns whether it was paused. Errors: PQ001.';
