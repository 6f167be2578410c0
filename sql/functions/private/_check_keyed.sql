-- Queues and keys are matched exactly, whatever is in them; a queue's name may be longer than one of the core.
create function pgqueue._check_keyed(queue text, key text) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_name('key', key, 500);
  if octet_length(queue) + octet_length(key) > 2500 then
    perform pgqueue._refuse('PQ001', format('queue and key take %s bytes', octet_length(queue) + octet_length(key)), 'Together they may take 2500 bytes in UTF-8: an index has to hold them.');
  end if;
end $$;
