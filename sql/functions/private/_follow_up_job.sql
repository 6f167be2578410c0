-- The element of enqueue_many that a follow-up becomes when its parent has ended: with what it is passed, and which job it follows.
create function pgqueue._follow_up_job(follow_up jsonb, parent bigint, kind text, state text, value jsonb) returns jsonb
language sql immutable
return (follow_up - 'pass_as') || jsonb_build_object(
  'args', coalesce(nullif(follow_up -> 'args', 'null'), '{}') || case when follow_up ->> 'pass_as' is null then '{}' else jsonb_build_object(follow_up ->> 'pass_as', value) end,
  'headers', coalesce(nullif(follow_up -> 'headers', 'null'), '{}') || jsonb_build_object('parent', jsonb_build_object('job', parent, 'kind', kind, 'state', state)));
