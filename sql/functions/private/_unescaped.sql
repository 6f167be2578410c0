-- A value as COPY's text format writes it, without its escapes.
create function pgqueue._unescaped(cell text) returns text
language sql immutable
return case when position('\' in cell) > 0 then array_to_string(array(
  select replace(replace(replace(replace(replace(replace(p.part, '\n', E'\n'), '\t', E'\t'), '\r', E'\r'), '\b', E'\b'), '\f', E'\f'), '\v', E'\x0b')
  from unnest(string_to_array(cell, '\\')) with ordinality p(part, nth) order by p.nth), '\') else cell end;
