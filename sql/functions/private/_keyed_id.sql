-- The live item a caller means: the id where one is given, whatever the key says by now, else what holds the key. Null when it is gone.
create function pgqueue._keyed_id(queue text, key text, id bigint) returns bigint
language plpgsql stable
as $$
declare
  v_id bigint;
begin
  if id is null then
    if queue is null or key is null then
      perform pgqueue._refuse('PQ001', 'neither an id nor a key', 'Give id, or queue and key.');
    end if;
    -- The offset: as in _take_keys. An old snapshot may show an ended holder beside the live one.
    select k.job_id into v_id
    from (select k.job_id from pgqueue.job_key k where k.queue = pgqueue._keyed_line(_keyed_id.queue) and k.unique_key = _keyed_id.key offset 0) k
    order by k.job_id desc limit 1;
    return v_id;
  end if;
  return id;
end $$;
