-- What an event of a job's history says to people: its data in one line.
create function pgqueue._event_text(data jsonb) returns text
language sql immutable
return (
  select string_agg(case e.key when 'why' then '' else e.key || ' ' end || left(e.value, 200), ', ' order by e.key)
  from jsonb_each_text(case when jsonb_typeof(data) = 'object' then data else '{}' end) e where e.value is not null);
