-- What a new item may be. The plain case passes in one expression; the messages are made only when something is wrong.
create function pgqueue._check_keyed_item(
  queue text,
  key text,
  payload text,
  priority integer,
  orphan_ms bigint,
  process_id text,
  exclusive boolean,
  external_id text,
  stage_key text,
  max_attempts integer) returns void
language plpgsql
as $$
begin
  if octet_length(queue) between 1 and 450 and octet_length(key) between 1 and 450 and (queue || key) !~ '[\x01-\x1f\x7f-\x9f]' and payload is not null
    and priority between -32768 and 32767 and not exclusive and max_attempts between 1 and 32767
    and num_nonnulls(orphan_ms, process_id, external_id, stage_key) = 0
  then
    return;
  end if;
  perform pgqueue._check_keyed(queue, key);
  if payload is null then
    perform pgqueue._refuse('PQ001', 'payload is null', 'Give it as text, which may be empty.');
  end if;
  perform pgqueue._check_priority(priority);
  perform pgqueue._check_ms('orphan_ms', orphan_ms);
  perform pgqueue._check_process(process_id);
  if exclusive is null or exclusive and process_id is null then
    perform pgqueue._refuse('PQ001', 'exclusive is ' || case when exclusive then 'true, but there is no process_id' else 'null' end,
      'Say whose the item is to be: give process_id, or exclusive => false.');
  end if;
  if external_id is not null then
    perform pgqueue._check_name('external_id', external_id, 48);
  end if;
  if stage_key is not null then
    perform pgqueue._check_name('stage_key', stage_key, 1000);
  end if;
  if coalesce(max_attempts, 0) not between 1 and 32767 then
    perform pgqueue._refuse('PQ001', format('max_attempts is %s', coalesce(max_attempts::text, 'null')), 'Give a whole number from 1 to 32767.');
  end if;
end $$;
