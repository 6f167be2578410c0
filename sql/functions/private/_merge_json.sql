-- Two texts of JSON objects as one: the second's members win. The type json keeps numbers and strings as they are written. Escapes that no text can stand for, NUL and half
-- surrogates, are legal in it all the same, yet not to its functions: they are hidden meanwhile. What hides `\u` is right after a backslash, too.
create function pgqueue._merge_json(old text, new text) returns text
language plpgsql immutable
as $$
declare
  v_hide boolean := old || new ~ '\\u(0000|[dD][89a-fA-F])';
  v_hidden constant text := '\/~u~';
  v_merged text;
  v_names boolean;
begin
  if v_hide then
    if position('~u~' in old || new) > 0 then
      perform pgqueue._refuse('PQ001', 'extra has ~u~ beside an escaped NUL or surrogate', 'Give it without one of them.');
    end if;
    old := replace(old, '\u', v_hidden);
    new := replace(new, '\u', v_hidden);
  end if;
  select '{' || coalesce(string_agg(to_json(m.key)::text || ':' || m.value::text, ',' order by m.ord), '') || '}', coalesce(bool_or(position('~u~' in m.key) > 0), false)
  into v_merged, v_names
  from (
    select distinct on (e.key) e.key, e.value, min(e.ord) over (partition by e.key) as ord
    from (
      select o.key, o.value, o.ord, 1 as turn from json_each(old::json) with ordinality o(key, value, ord)
      union all
      select n.key, n.value, n.ord + 1000000000, 2 from json_each(new::json) with ordinality n(key, value, ord)) e
    order by e.key, e.turn desc, e.ord desc) m;
  if v_hide then
    if v_names then
      perform pgqueue._refuse('PQ001', 'extra has an escape in the name of a member beside an escaped NUL or surrogate', 'Give names of members as they are.');
    end if;
    v_merged := replace(v_merged, v_hidden, '\u');
  end if;
  return v_merged;
end $$;
