-- The places of failed jobs go; the group is looked at by the next claim, as whoever has its lock just now may not be waited for.
create function pgqueue.unblock_group(queue text, group_key text)
returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  perform pgqueue._check_name('queue', queue, 200);
  perform pgqueue._check_name('group_key', group_key, 500);
  delete from pgqueue.slot s where s.queue = unblock_group.queue and s.group_key = unblock_group.group_key and s.state = 3;
  if not found then
    return false;
  end if;
  insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
  values (nextval('pgqueue.job_id'), 0, 0, 0, unblock_group.queue, unblock_group.group_key);
  perform pgqueue._wake(queue);
  return true;
end $$;

comment on function pgqueue.unblock_group is
'Lets a group go on that a failed job blocks, in a queue whose group_failure is block. The job stays failed; retried later, it waits its turn like any other. Returns whether
anything was blocked. Errors: PQ001.';
