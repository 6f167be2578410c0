-- Whether a queue has max_queued. Not inlined, so that an enqueue opens the settings only where it asks.
create function pgqueue._bounded(queue text) returns boolean
language plpgsql stable
as $$
begin
  return exists (select from pgqueue.queue q where q.name = _bounded.queue and q.max_queued is not null);
end $$;
