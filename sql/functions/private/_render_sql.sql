-- Fills the tags <%= job_id %> and <%= error_message %> of a fallback in, wherever they stand, in such a way that a message cannot end the literal, name or comment it
-- is put into. In a dollar quote it goes in as it is, and should it hold the quote's tag, the quote gets another one. In plain code it becomes a literal.
create function pgqueue._render_sql(sql text, job bigint, message text) returns text
language plpgsql
as $$
declare
  v_kinds text[];
  v_parts text[];
  v_value text;
  v_open integer;
  v_holds boolean := false;
  v_tag text;
begin
  if sql !~ '<%=\s*(job_id|error_message)\s*%>' then
    return sql;
  end if;
  select p.kinds, p.parts into v_kinds, v_parts from pgqueue._sql_parts(sql) p;
  for i in 1..cardinality(v_kinds) loop
    if v_kinds[i] = 'open' then
      v_open := i;
      v_holds := false;
    elsif v_kinds[i] = 'close' and v_holds then
      v_tag := '$q$';
      while position(v_tag in sql || coalesce(message, '')) > 0 loop
        v_tag := '$q' || length(v_tag)::text || '$';
      end loop;
      v_parts[v_open] := v_tag;
      v_parts[i] := v_tag;
    end if;
    continue when v_kinds[i] not like 'tag:%';
    if v_parts[i] ~ 'job_id' then
      v_parts[i] := job::text;
      continue;
    end if;
    v_value := coalesce(message, '');
    v_holds := v_holds or v_kinds[i] = 'tag:dollar' and position('$' in v_value) > 0;
    v_parts[i] := case v_kinds[i]
      when 'tag:quote' then replace(v_value, '''', '''''')
      when 'tag:escape' then replace(replace(v_value, '\', '\\'), '''', '''''')
      when 'tag:name' then replace(v_value, '"', '""')
      when 'tag:line' then translate(v_value, E'\n\r', '  ')
      when 'tag:comment' then replace(replace(v_value, '*/', '* /'), '/*', '/ *')
      when 'tag:dollar' then v_value
      else quote_literal(v_value) end;
  end loop;
  return array_to_string(v_parts, '');
end $$;
