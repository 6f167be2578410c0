-- Queues and keys are matched exactly, whatever is in them; a queue's name may be longer than one of the core.
create function pgqueue._check_keyed(queue text, key text) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_name('key', key, 500);
end $$;
