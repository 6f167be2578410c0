-- The report on a script, from its rows. Queries that never began have no row: they are queued, or skipped once the script is over for them.
create function pgqueue._script_report(script pgqueue.script) returns jsonb
language sql stable
as $$
  select jsonb_strip_nulls(jsonb_build_object(
      'id', (script).job_id, 'owner', (script).owner, 'queue', (script).queue, 'status', case when pgqueue._script_is_held(script) then 'held' else (script).status end, 'fallback_status', (script).fallback_status,
      'failed_reason', (script).failed_reason, 'fallback_error', (script).fallback_error, 'created_at', (script).created_at, 'updated_at', (script).updated_at,
      'started_at', (script).started_at, 'ended_at', (script).ended_at, 'onsuccess', (script).document -> 'onsuccess', 'onerror', (script).document -> 'onerror'))
    || jsonb_build_object('queries', (
      select jsonb_agg(e.query || jsonb_strip_nulls(jsonb_build_object(
          'status', coalesce(q.status, case when s.is_over then 'skipped' else 'queued' end),
          'fallback_status', case
            when not e.query ?| array['onsuccess', 'onerror'] then null
            else coalesce(q.fallback_status, case when s.is_over then 'skipped' else 'queued' end) end,
          'failed_reason', q.failed_reason, 'fallback_error', q.fallback_error, 'started_at', q.started_at, 'ended_at', q.ended_at, 'notices', q.notices))
        order by e.nth)
      from (select (script).status = 'cancelled' or (script).failed_reason is not null as is_over) s
      cross join jsonb_array_elements((script).document -> 'queries') with ordinality e(query, nth)
      left join pgqueue.script_query q on q.job_id = (script).job_id and q.position = e.nth - 1));
$$;
