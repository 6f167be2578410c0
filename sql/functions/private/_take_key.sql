-- Takes the key of one job that exists already. Returns the job that has it then: this one, or a live one that holds it. Waits for enqueues of this key that are
-- under way. The own row is locked, so that who would replace this job looks again afterwards.
create function pgqueue._take_key(queue text, unique_key text, job bigint) returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_holder record;
begin
  loop
    insert into pgqueue.job_key (queue, unique_key, job_id) values (_take_key.queue, _take_key.unique_key, job) on conflict do nothing;
    exit when found;
    select k.job_id, coalesce(k.until <= v_now or (select l.job_id from pgqueue.left_key l where l.job_id = k.job_id) is not null, false) as gone into v_holder
    from (
      select k.job_id, k.until from pgqueue.job_key k
      where k.queue = _take_key.queue and k.unique_key = _take_key.unique_key offset 0) k  -- the offset: as in _try_keys
    order by k.job_id desc limit 1;
    continue when not found;
    if v_holder.job_id = job then
      perform from pgqueue.job_key k
      where k.queue = _take_key.queue and k.unique_key = _take_key.unique_key and k.job_id = job for update;
      continue when not found;
      exit;
    end if;
    if not v_holder.gone then
      return v_holder.job_id;
    end if;
    exit when pgqueue._seize_key(queue, unique_key, v_holder.job_id, job, null, v_now);
  end loop;
  delete from pgqueue.left_key l where l.job_id = job;  -- what it left before is its own again
  return job;
end $$;
