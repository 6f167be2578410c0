-- Rows as [{"line", "input"}, …], as two arrays.
create function pgqueue._row_arrays(in rows jsonb, out lines integer[], out inputs jsonb[])
language plpgsql
as $$
declare
  v_bad record;
begin
  if rows is null or jsonb_typeof(rows) <> 'array' then
    perform pgqueue._refuse('PQ001', format('rows is %s, not an array', coalesce(jsonb_typeof(rows), 'null')), 'Give [{"line": 1, "input": …}, …].');
  end if;
  select e.nth, e.value into v_bad
  from jsonb_array_elements(rows) with ordinality e(value, nth)
  where jsonb_typeof(e.value) <> 'object' or coalesce(jsonb_typeof(e.value -> 'line'), 'null') <> 'number' or not e.value ? 'input'
    or (e.value ->> 'line')::numeric not between 1 and 2147483647 or (e.value ->> 'line')::numeric % 1 <> 0
  order by e.nth limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('row %s is %s', v_bad.nth, left(v_bad.value::text, 100)),
      'Each row is an object with "line", a whole number of at least 1, and "input", any JSON.');
  end if;
  select array_agg((e.value ->> 'line')::numeric::integer order by e.nth), array_agg(e.value -> 'input' order by e.nth) into lines, inputs
  from jsonb_array_elements(rows) with ordinality e(value, nth);
end $$;
