-- The elements of a JSON array that is an option of a job; none of null.
create function pgqueue._elements(name text, list jsonb) returns setof jsonb
language plpgsql immutable
as $$
begin
  if jsonb_typeof(list) not in ('array', 'null') then
    perform pgqueue._refuse('PQ001', format('%s is %s, not an array', name, jsonb_typeof(list)), format('Give %s as an array.', name));
  end if;
  return query select e.value from jsonb_array_elements(case when jsonb_typeof(list) = 'array' then list else '[]' end) with ordinality e(value, ord) order by e.ord;
end $$;
