-- Cuts SQL text into what PostgreSQL's own scanner would see: code, literals, quoted names, comments, with the tags <%= … %> and the parameters $n cut out. `kinds` says what a
-- part is: code, quote ('…'), escape (E'…'), name ("…"), dollar, line (-- …), comment, open and close (the tags of a dollar quote), param, end (a semicolon), or
-- tag:<kind> for a tag inside of such. Parts joined give the text again.
--
-- One regular expression finds whatever can change the state; the text in between is never looked at by character, so long texts cost little.
create function pgqueue._sql_parts(in sql text, out kinds text[], out parts text[])
language plpgsql immutable
as $$
declare
  c_marks constant text := $re$'|"|--|/\*|\*/|\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$|\$[0-9]+|\n|\\|;|<%=\s*(?:job_id|error_message)\s*%>$re$;
  v_texts text[] := regexp_split_to_array(sql, c_marks);
  v_marks text[] := array(select m[1] from regexp_matches(sql, '(' || c_marks || ')', 'g') m);
  v_count integer := cardinality(v_marks);
  v_state text := 'code';
  v_dollar text;
  v_depth integer := 0;
  v_part text := '';
  v_text text;
  v_mark text;
  v_after text;
  v_next text;
  i integer := 1;
begin
  kinds := array[]::text[];
  parts := array[]::text[];
  while i <= v_count + 1 loop
    v_text := v_texts[i];
    v_mark := v_marks[i];
    i := i + 1;
    if v_state = 'dollar' and left(v_text, length(v_dollar) - 1) = substr(v_dollar, 2) and right(v_part, 1) = '$' then
      -- a closing tag whose first character was taken for the end of another one
      kinds := kinds || array['dollar', 'close'];
      parts := parts || array[left(v_part, -1), v_dollar];
      v_part := substr(v_text, length(v_dollar));
      v_state := 'code';
    else
      v_part := v_part || v_text;
    end if;
    exit when v_mark is null;

    if v_mark like '<\%=%' then
      kinds := kinds || array[v_state, 'tag:' || v_state];
      parts := parts || array[v_part, v_mark];
      v_part := '';
      continue;
    end if;
    v_next := null;
    v_after := '';
    case v_state
      when 'code' then
        case
          when v_mark = '''' then
            v_next := case when v_part ~ '(^|[^A-Za-z0-9_$\u0080-\uffff])[eE]$' then 'escape' else 'quote' end;
          when v_mark = '"' then v_next := 'name';
          when v_mark = '--' then v_next := 'line';
          when v_mark = '/*' then
            v_next := 'comment';
            v_depth := 1;
          when v_mark = ';' then
            kinds := kinds || array['code', 'end'];
            parts := parts || array[v_part, v_mark];
            v_part := '';
            continue;
          when v_mark like '$%' and v_part !~ '[A-Za-z0-9_$\u0080-\uffff]$' then
            kinds := kinds || array['code', case when v_mark like '%$' then 'open' else 'param' end];
            parts := parts || array[v_part, v_mark];
            v_part := '';
            if v_mark like '%$' then
              v_dollar := v_mark;
              v_state := 'dollar';
            end if;
            continue;
          else null;
        end case;
        if v_next is not null then
          kinds := kinds || v_state;
          parts := parts || v_part;
          v_part := v_mark;
          v_state := v_next;
          continue;
        end if;
      when 'quote', 'escape' then
        if v_mark = '''' and v_marks[i] = '''' and v_texts[i] = '' or v_state = 'escape' and v_mark = '\' and v_texts[i] = '' then
          v_after := coalesce(v_marks[i], '');
          i := i + 1;
          v_texts[i] := coalesce(v_texts[i], '');
        elsif v_mark = '''' then
          v_next := 'code';
        end if;
      when 'name' then
        v_next := case when v_mark = '"' then 'code' end;
      when 'line' then
        v_next := case when v_mark = E'\n' then 'code' end;
      when 'comment' then
        v_depth := v_depth + case v_mark when '/*' then 1 when '*/' then -1 else 0 end;
        v_next := case when v_depth = 0 then 'code' end;
      when 'dollar' then
        if v_mark = v_dollar then
          kinds := kinds || array['dollar', 'close'];
          parts := parts || array[v_part, v_mark];
          v_part := '';
          v_state := 'code';
          continue;
        end if;
    end case;
    v_part := v_part || v_mark || v_after;
    if v_next is not null then
      kinds := kinds || v_state;
      parts := parts || v_part;
      v_part := '';
      v_state := v_next;
    end if;
  end loop;
  kinds := kinds || v_state;
  parts := parts || v_part;
end $$;
