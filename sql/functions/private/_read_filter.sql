-- A filter as the bulk functions take it, checked. One that names nothing is refused, and so is a null: in a filter that a program made, either is more likely a slip than
-- the wish to act on everything. `states`: those the action is about.
create function pgqueue._read_filter(filter jsonb, action text, states text[]) returns pgqueue.job_filter
language plpgsql stable
as $$
declare
  v_hint constant text := 'Keys: queue, kind, state (text or an array), reason, error_type, group_key, unique_key, priority, args and headers (objects that are contained), ids (an array), '
    'before_id, after_id, created_before, created_after, finished_before, finished_after.';
  v_key text;
  v_kind text;
  v_wants text;
  v_state text;
  v_filter pgqueue.job_filter;
  v_problem text;
begin
  if filter is null or jsonb_typeof(filter) <> 'object' then
    perform pgqueue._refuse('PQ001', format('filter is %s, not an object', coalesce(jsonb_typeof(filter), 'null')), v_hint);
  end if;
  if filter = '{}' then
    perform pgqueue._refuse('PQ001', 'filter is empty', 'Name at least one thing, such as {"queue": "mail"}. ' || v_hint);
  end if;
  for v_key, v_kind in select e.key, jsonb_typeof(e.value) from jsonb_each(filter) e loop
    v_wants := case
      when v_key in ('queue', 'kind', 'reason', 'error_type', 'group_key', 'unique_key', 'created_before', 'created_after', 'finished_before', 'finished_after') then 'string'
      when v_key in ('priority', 'before_id', 'after_id') then 'number'
      when v_key in ('args', 'headers') then 'object'
      when v_key = 'ids' then 'array'
      when v_key = 'state' then case when v_kind = 'array' then 'array' else 'string' end
    end;
    if v_wants is null then
      perform pgqueue._refuse('PQ001', format('filter has an unknown key %L', v_key), v_hint);
    elsif v_kind <> v_wants then
      perform pgqueue._refuse('PQ001', format('%s of the filter is %s, not %s', v_key, v_kind, case v_wants when 'string' then 'text' else 'of type ' || v_wants end),
        case v_kind when 'null' then 'Leave out what does not matter.' else v_hint end);
    end if;
  end loop;

  begin
    v_filter.queue := filter ->> 'queue';
    v_filter.kind := filter ->> 'kind';
    v_filter.reason := filter ->> 'reason';
    v_filter.error_type := filter ->> 'error_type';
    v_filter.group_key := filter ->> 'group_key';
    v_filter.unique_key := filter ->> 'unique_key';
    v_filter.priority := (filter ->> 'priority')::integer;
    v_filter.args := filter -> 'args';
    v_filter.headers := filter -> 'headers';
    v_filter.before_id := (filter ->> 'before_id')::bigint;
    v_filter.after_id := (filter ->> 'after_id')::bigint;
    v_filter.created_before := (filter ->> 'created_before')::timestamptz;
    v_filter.created_after := (filter ->> 'created_after')::timestamptz;
    v_filter.finished_before := (filter ->> 'finished_before')::timestamptz;
    v_filter.finished_after := (filter ->> 'finished_after')::timestamptz;
    if filter ? 'ids' then
      if jsonb_array_length(filter -> 'ids') > 100000 then
        perform pgqueue._refuse('PQ001', format('ids has %s elements', jsonb_array_length(filter -> 'ids')), 'Give 100000 at most, and the others in another call.');
      end if;
      if exists (select from jsonb_array_elements(filter -> 'ids') i where jsonb_typeof(i) <> 'number') then
        perform pgqueue._refuse('PQ001', 'ids has an element that is not a number', 'Give ids of jobs, such as [7, 8].');
      end if;
      v_filter.ids := array(select distinct (i #>> '{}')::bigint from jsonb_array_elements(filter -> 'ids') i order by 1);
    end if;
  exception
    when data_exception then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', 'filter: ' || v_problem, v_hint);
  end;

  if filter ? 'state' then
    for v_state in
      select s #>> '{}' from jsonb_array_elements(case jsonb_typeof(filter -> 'state') when 'array' then filter -> 'state' else jsonb_build_array(filter -> 'state') end) s
    loop
      if v_state is null or v_state not in ('held', 'scheduled', 'queued', 'running', 'succeeded', 'failed', 'cancelled') then
        perform pgqueue._refuse('PQ001', format('state %s is unknown', coalesce(quote_literal(v_state), 'null')),
          'States are held, scheduled, queued, running, succeeded, failed and cancelled.');
      elsif v_state <> all(states) then
        perform pgqueue._refuse('PQ001', format('jobs that are %s cannot be %s', v_state, action),
          format('Those that are %s can.%s', array_to_string(states, ', '), case when action = 'deleted' then ' Cancel the others first.' else '' end));
      end if;
      v_filter.states := v_filter.states || v_state;
    end loop;
    if v_filter.states is null then
      perform pgqueue._refuse('PQ001', 'state of the filter is an empty array', 'Name at least one state, or leave it out.');
    end if;
  end if;
  return v_filter;
end $$;
