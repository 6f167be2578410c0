-- What the rows of a slice are told that failed as a whole: its last error.
create function pgqueue._slice_messages(job bigint, reason text) returns jsonb
language sql stable
as $$
  select jsonb_build_array(jsonb_build_object(
    'msgid', case when e.error ->> 'type' = 'InitFailed' then 5 else 10 end,
    'errcode', case when e.error ->> 'type' = 'InitFailed' then 'configerror' when $2 = 'worker_lost' then 'worker_lost' else 'processing_error' end,
    'vals', jsonb_build_array(coalesce(e.error ->> 'message', $2, 'failed'))))
  from (select 1) one
  left join lateral (select a.error from pgqueue.attempt_error a where a.job_id = $1 order by a.failed_at desc limit 1) e on true;
$$;
