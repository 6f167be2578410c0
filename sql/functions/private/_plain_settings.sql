-- What a claim of a plain lane has to know of its queue, in one number: what the lease is to forget, plus 4 when attempts or timeouts have a setting of their own;
-- -1 when the queue is paused or limited, and so not plain. Inlined: keep it one expression.
create function pgqueue._plain_settings(settings pgqueue.queue) returns integer
language sql stable
return case
  when (settings).paused_at is not null or (settings).most_running is not null then -1
  else pgqueue._forget((settings).history) + case when (settings).timeout is null and (settings).max_attempts is null then 0 else 4 end end;
