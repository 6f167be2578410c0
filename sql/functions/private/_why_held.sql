-- What `why` says of a job that is held, by what holds it. Null for one that is not.
create function pgqueue._why_held(job pgqueue.job_info, queue pgqueue.queue, name text) returns text
language plpgsql
as $$
declare
  v_batch bigint;
  v_status text;
  v_waits text[];
begin
  if (job).state <> 'held' then
    return null;
  end if;
  select h.batch_id into v_batch from pgqueue.held h where h.job_id = (job).id;
  if found then
    select i.status, i.waits_for into v_status, v_waits from pgqueue.batch b cross join lateral pgqueue._batch_info(b) i where b.id = v_batch;
    return case
      when v_status <> 'held' then format('%s is let go with its batch %s: upkeep brings many slices ten thousand at a time.', name, v_batch)
      when 'parents' = any(v_waits) then format('%s waits for what batch %s waits for: see pgqueue.why(%s).', name, v_batch, v_batch)
      else format('%s waits for the release of batch %s: call pgqueue.batch_release(%s).', name, v_batch, v_batch) end;
  end if;
  if pgqueue._why_group((job).id, name) is not null then
    return pgqueue._why_group((job).id, name);
  end if;
  return format('%s waits for its turn: group %s of queue %s runs at most %s at a time.', name, (job).group_key, (job).queue, (queue).group_limit);
end $$;
