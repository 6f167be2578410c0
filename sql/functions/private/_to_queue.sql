-- What a move to another queue changes beside the place: the job row, the unique key, the slot, and what scripts and queries say of themselves. The caller has taken the jobs from where they waited.
create function pgqueue._to_queue(jobs bigint[], queue text, from_queues text[], traits integer[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_traits integer := (select bit_or(t) from unnest(traits) t);
begin
  -- The identity of a query is a key in no queue, and stays there.
  if v_traits & 2049 <> 0 then
    update pgqueue.job_key k set queue = _to_queue.queue where k.job_id = any(jobs) and k.queue <> '';
  end if;
  update pgqueue.job j set queue = _to_queue.queue
  where j.id between (select min(i) from unnest(jobs) i) and (select max(i) from unnest(jobs) i) and j.id = any(jobs);
  if v_traits & 2 <> 0 then
    perform pgqueue._free_slots(jobs);
  end if;
  if v_traits & 128 <> 0 then
    update pgqueue.script s set queue = _to_queue.queue where s.job_id = any(jobs);
    update pgqueue.query q set queue = _to_queue.queue where q.job_id = any(jobs);
  end if;
  perform pgqueue._note_event(e.id, 'moved', jsonb_build_object('from', e.queue, 'to', _to_queue.queue)) from unnest(jobs, from_queues) e(id, queue);
end $$;
