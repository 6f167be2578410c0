-- Two texts of JSON objects as one: the second's members win. The type json keeps numbers and strings as they are written.
create function pgqueue._merge_json(old text, new text) returns text
language plpgsql immutable
as $$
begin
  return (
    select '{' || coalesce(string_agg(to_json(m.key)::text || ':' || m.value::text, ',' order by m.ord), '') || '}'
    from (
      select distinct on (e.key) e.key, e.value, min(e.ord) over (partition by e.key) as ord
      from (
        select o.key, o.value, o.ord, 1 as turn from json_each(old::json) with ordinality o(key, value, ord)
        union all
        select n.key, n.value, n.ord + 1000000000, 2 from json_each(new::json) with ordinality n(key, value, ord)) e
      order by e.key, e.turn desc, e.ord desc) m);
end $$;
