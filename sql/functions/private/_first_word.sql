-- The first word of a statement in lower case, after blanks, comments and parentheses.
create function pgqueue._first_word(sql text) returns text
language sql immutable
as $$
  select lower(substring(string_agg(case p.kind when 'code' then p.part when 'end' then '' else ' ' end, '' order by p.nth) from '[A-Za-z]+'))
  from (select * from pgqueue._sql_parts($1)) s cross join lateral unnest(s.kinds, s.parts) with ordinality p(kind, part, nth)
  where p.kind in ('code', 'line', 'comment', 'end');
$$;
