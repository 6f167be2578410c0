-- A JSON value as the text of a value of this type; null is null. Arrays are arrays where the type is one, and documents otherwise.
create function pgqueue._param_text(value jsonb, type text) returns text
language plpgsql immutable
as $$
begin
  return case
    when value is null or value = 'null' then null
    when type in ('json', 'jsonb') then value::text
    when jsonb_typeof(value) = 'array' and type like '%[]' then '{' || coalesce((
      select string_agg(case jsonb_typeof(e.value)
        when 'null' then 'NULL'
        when 'array' then pgqueue._param_text(e.value, type)
        else '"' || replace(replace(e.value #>> '{}', '\', '\\'), '"', '\"') || '"' end, ',' order by e.nth)
      from jsonb_array_elements(value) with ordinality e(value, nth)), '') || '}'
    else value #>> '{}' end;
end $$;
