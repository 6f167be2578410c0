-- What follows a batch that has ended, as _follow_up does it for jobs. A batch ends once, and then its follow-ups are no longer needed.
create function pgqueue._follow_batch(batch pgqueue.batch) returns void
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_state text := case (batch).status when 'aborted' then 'cancelled' else (batch).status end;
  v_result record;
  v_value jsonb;
  v_next jsonb;
begin
  if not exists (select from pgqueue.follow_up f where f.job_id = (batch).id) then
    return;
  end if;
  select * into v_result from pgqueue._batch_result((batch).id);
  v_value := case v_state when 'succeeded' then coalesce(v_result.result, 'null')
    else jsonb_build_object('state', v_state, 'reason', v_result.reason, 'error', v_result.error) end;
  for v_next in
    select n.value from pgqueue.follow_up f cross join lateral jsonb_array_elements(f.jobs) with ordinality n(value, nth)
    where f.job_id = (batch).id and f.outcome = case v_state when 'succeeded' then 'success' else 'error' end order by n.nth
  loop
    perform pgqueue._enqueue_follow_up((batch).id, pgqueue._follow_up_job(v_next, (batch).id, 'batch', v_state, v_value));
  end loop;
  delete from pgqueue.follow_up f where f.job_id = (batch).id;
end $$;
