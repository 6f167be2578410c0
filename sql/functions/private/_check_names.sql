-- _check_name for one name an element, null meaning none: the first bad one is refused with its place.
create function pgqueue._check_names(what text, names text[], most integer) returns void
language plpgsql
as $$
declare
  v_bad record;
  v_problem text;
  v_advice text;
begin
  for v_bad in
    select n.name, n.ord from unnest(names) with ordinality n(name, ord) where length(n.name) not between 1 and most or octet_length(n.name) > 1800 or n.name ~ '[\x01-\x1f\x7f-\x9f]' order by n.ord limit 1
  loop
    perform pgqueue._check_name(what, v_bad.name, most);
  end loop;
exception
  when sqlstate 'PQ001' then
    get stacked diagnostics v_problem = message_text, v_advice = pg_exception_hint;
    perform pgqueue._refuse('PQ001', format('element %s: %s', v_bad.ord, v_problem), v_advice);
end $$;
