-- A statement with its parameters as literals, and without the semicolon that may end it.
create function pgqueue._with_literals(sql text, params jsonb, types text[]) returns text
language plpgsql
as $$
declare
  v_kinds text[];
  v_parts text[];
  v_nth integer;
begin
  select p.kinds, p.parts into v_kinds, v_parts from pgqueue._sql_parts(sql) p;
  for i in 1..cardinality(v_kinds) loop
    if v_kinds[i] = 'param' then
      v_nth := substr(v_parts[i], 2)::integer;
      v_parts[i] := '(' || quote_nullable(pgqueue._param_text(params -> (v_nth - 1), types[v_nth])) || '::' || types[v_nth] || ')';
    elsif v_kinds[i] = 'end' then
      v_parts[i] := ' ';
    end if;
  end loop;
  return array_to_string(v_parts, '');
end $$;
