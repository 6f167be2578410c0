-- A JSON array of names as an array of text; null of null.
create function pgqueue._names(name text, list jsonb) returns text[]
language plpgsql immutable
as $$
begin
  if exists (select from pgqueue._elements(name, list) e(value) where jsonb_typeof(e.value) <> 'string') then
    perform pgqueue._refuse('PQ001', format('%s has an element that is not text', name), format('Give %s as an array of names.', name));
  end if;
  return case when jsonb_typeof(list) = 'array' then array(select e.value #>> '{}' from pgqueue._elements(name, list) e(value)) end;
end $$;
