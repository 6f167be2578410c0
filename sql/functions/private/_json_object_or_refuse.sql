-- The text of a JSON object, or null for JSON null; anything else is refused.
create function pgqueue._json_object_or_refuse(what text, value text) returns text
language plpgsql
as $$
declare
  v_kind text;
begin
  begin
    v_kind := json_typeof(value::json);
  exception
    when data_exception then
      v_kind := 'not JSON';
  end;
  if coalesce(v_kind, '') not in ('object', 'null') then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, coalesce(v_kind, 'null')), format('Give %s as the text of a JSON object, or of null to clear it.', what));
  end if;
  return case v_kind when 'object' then value end;
end $$;
