-- What user SQL may not hold, because nobody is at the other end of the line: COPY from or to the client, LISTEN, commands of psql. `single`: one statement only.
-- Functions written in SQL with BEGIN ATOMIC hold semicolons of their own.
create function pgqueue._check_sql(what text, sql text, single boolean) returns void
language plpgsql
as $$
declare
  v_kinds text[];
  v_parts text[];
  v_code text := '';
  v_statement text;
  v_statements text[];
begin
  if sql is null or sql !~ '\S' then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, case when sql is null then 'null' else 'blank' end), 'Give the text of an SQL statement.');
  end if;
  if sql !~* '\m(copy|listen)\M|\\|;' then
    return;
  end if;
  select p.kinds, p.parts into v_kinds, v_parts from pgqueue._sql_parts(sql) p;
  for i in 1..cardinality(v_kinds) loop
    v_code := v_code || case
      when v_kinds[i] = 'code' then v_parts[i]
      when v_kinds[i] = 'end' then E'\x1e'
      when v_kinds[i] in ('line', 'comment') then ' '
      else ' x ' end;
  end loop;
  v_statements := array(select s from unnest(string_to_array(v_code, E'\x1e')) s where s ~ '\S');
  if cardinality(v_statements) = 0 then
    perform pgqueue._refuse('PQ001', format('%s holds no statement', what), 'Give the text of an SQL statement.');
  end if;
  foreach v_statement in array v_statements loop
    if v_statement ~* '^\s*copy\M' and v_statement ~* '\m(from\s+stdin|to\s+stdout)\M' then
      perform pgqueue._refuse('PQ001', format('%s copies from or to the client', what),
        'No client is there to send or take the rows: use INSERT or SELECT, or COPY with a file of the server.');
    elsif v_statement ~* '^\s*listen\M' then
      perform pgqueue._refuse('PQ001', format('%s listens to a channel', what), 'The session ends with the query: listen on a connection of your own.');
    elsif v_statement ~ '\\' then
      perform pgqueue._refuse('PQ001', format('%s holds a backslash outside of a literal', what), 'Commands of psql are not SQL: give statements that the server understands.');
    end if;
  end loop;
  if single and cardinality(v_statements) > 1 and v_statements[1] !~* '^\s*create\M' then
    perform pgqueue._refuse('PQ001', format('%s holds %s statements', what, cardinality(v_statements)), 'A query is one statement; for several use submit_script.');
  end if;
end $$;
