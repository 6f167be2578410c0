-- A stored chunk, lines as COPY writes them, in another form. JSON numbers, booleans and documents are written as such, arrays of these and of texts as arrays, the rest as strings; what JSON has no number for (NaN,
-- Infinity) too.
create function pgqueue._chunk_as(chunk text, row_count integer, columns jsonb, format text) returns text
language plpgsql stable
as $$
declare
  v_names text[];
  v_kinds text[];
  v_escaped boolean := position('\' in chunk) > 0;
  v_rows text;
begin
  if format = 'text' or chunk is null then
    return chunk;
  end if;
  select array_agg(to_json(c.value ->> 'name')::text || ':' order by c.nth),
    array_agg(case when (c.value ->> 'oid')::bigint in (20, 21, 23, 26, 700, 701, 1700) then 'number' when (c.value ->> 'oid')::bigint = 16 then 'boolean'
      when (c.value ->> 'oid')::bigint in (114, 3802) then 'json'
      when (c.value ->> 'oid')::bigint in (1005, 1007, 1016, 1021, 1022, 1231) then 'numbers' when (c.value ->> 'oid')::bigint = 1000 then 'booleans'
      when (c.value ->> 'oid')::bigint in (1003, 1009, 1014, 1015, 1115, 1182, 1185, 2951) then 'texts' else 'text' end order by c.nth)
  into v_names, v_kinds
  from jsonb_array_elements(columns) with ordinality c(value, nth);
  if v_names is null then
    v_rows := rtrim(repeat(case format when 'csv' then E'\n' when 'json' then '{},' else '[],' end, row_count), ',');
  elsif format = 'csv' then
    v_rows := (
      select string_agg(r.line, '' order by r.nth)
      from (
        select l.nth, (
          select string_agg(case when v.value is null then '' when v.value = '' or v.value ~ '[",\n\r]' then '"' || replace(v.value, '"', '""') || '"' else v.value end, ',' order by c.nth) || E'\n'
          from unnest(string_to_array(l.line, E'\t', '\N')) with ordinality c(cell, nth)
          cross join lateral (select case when v_escaped then pgqueue._unescaped(c.cell) else c.cell end as value offset 0) v) as line
        from string_to_table(chunk, E'\n') with ordinality l(line, nth) where l.nth <= _chunk_as.row_count) r);
  else
    v_rows := (
      select string_agg(r.line, ',' order by r.nth)
      from (
        select l.nth, case format when 'json' then '{' else '[' end || (
          select string_agg(case format when 'json' then v_names[c.nth] else '' end || case
            when v.value is null then 'null'
            when v_kinds[c.nth] = 'number' and v.value !~ '[a-df-zA-DF-Z]' then v.value
            when v_kinds[c.nth] = 'boolean' then case v.value when 't' then 'true' else 'false' end
            when v_kinds[c.nth] = 'json' then v.value
            when v_kinds[c.nth] = 'numbers' then to_jsonb(v.value::numeric[])::text
            when v_kinds[c.nth] = 'booleans' then to_jsonb(v.value::boolean[])::text
            when v_kinds[c.nth] = 'texts' then to_jsonb(v.value::text[])::text
            else to_json(v.value)::text end, ',' order by c.nth)
          from unnest(string_to_array(l.line, E'\t', '\N')) with ordinality c(cell, nth)
          cross join lateral (select case when v_escaped then pgqueue._unescaped(c.cell) else c.cell end as value offset 0) v) || case format when 'json' then '}' else ']' end as line
        from string_to_table(chunk, E'\n') with ordinality l(line, nth) where l.nth <= _chunk_as.row_count) r);
  end if;
  return case format when 'csv' then coalesce(v_rows, '') else '[' || coalesce(v_rows, '') || ']' end;
end $$;
