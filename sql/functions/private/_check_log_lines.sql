-- Refuses log lines that are not an array of objects as log_lines takes them.
create function pgqueue._check_log_lines(lines jsonb) returns void
language plpgsql
as $$
declare
  v_hint constant text := 'Give an array of at most 10000 objects: {"level": "info", "message": "…", "at": time, "fields": object}; all but message may be left out.';
  v_bad record;
begin
  if lines is null or jsonb_typeof(lines) <> 'array' or jsonb_array_length(lines) > 10000 then
    perform pgqueue._refuse('PQ001', case when jsonb_typeof(lines) = 'array' then format('lines has %s elements', jsonb_array_length(lines))
      else format('lines is %s, not an array', coalesce(jsonb_typeof(lines), 'null')) end, v_hint);
  end if;
  select e.nth, case
      when jsonb_typeof(e.line) <> 'object' then format('is %s, not an object', jsonb_typeof(e.line))
      when jsonb_typeof(e.line -> 'message') is distinct from 'string' then 'has no message'
      when coalesce(jsonb_typeof(e.line -> 'level'), 'null') not in ('string', 'null') or length(e.line ->> 'level') not between 1 and 32 then 'has a level that is not a word'
      when coalesce(jsonb_typeof(e.line -> 'at'), 'null') not in ('string', 'null') then 'has a time that is not text'
      when coalesce(jsonb_typeof(e.line -> 'fields'), 'null') not in ('object', 'null') then 'has fields that are not an object'
      when exists (select from jsonb_object_keys(e.line) k where k not in ('at', 'level', 'message', 'fields')) then 'has a key of another name'
    end as problem
  into v_bad
  from jsonb_array_elements(lines) with ordinality e(line, nth)
  where jsonb_typeof(e.line) <> 'object'
    or jsonb_typeof(e.line -> 'message') is distinct from 'string'
    or coalesce(jsonb_typeof(e.line -> 'level'), 'null') not in ('string', 'null') or length(e.line ->> 'level') not between 1 and 32
    or coalesce(jsonb_typeof(e.line -> 'at'), 'null') not in ('string', 'null')
    or coalesce(jsonb_typeof(e.line -> 'fields'), 'null') not in ('object', 'null')
    or e.line - '{at,level,message,fields}'::text[] <> '{}'
  order by e.nth limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('line %s of lines %s', v_bad.nth, v_bad.problem), v_hint);
  end if;
  begin
    perform pgqueue._check_time('at', (e.line ->> 'at')::timestamptz) from jsonb_array_elements(lines) e(line) where e.line ->> 'at' is not null;
  exception
    when data_exception then
      perform pgqueue._refuse('PQ001', 'a line of lines has a time that cannot be read', 'Give times in ISO 8601, such as 2030-01-31T09:00:00Z.');
  end;
end $$;
