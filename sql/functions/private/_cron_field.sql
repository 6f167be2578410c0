-- One field of a cron expression as the sorted numbers it names. `lowest` and `highest` bound it, `names` are words for the numbers from `lowest` on.
create function pgqueue._cron_field(field text, given text, lowest integer, highest integer, names text[]) returns integer[]
language plpgsql
as $$
declare
  c_hint constant text := format('Give %s as *, numbers from %s to %s%s, ranges (1-5) and steps (*/2), separated by commas.', field, lowest, highest,
    case when names is not null then format(' or names (%s to %s)', names[1], names[cardinality(names)]) else '' end);
  v_term text;
  v_parts text[];
  v_ends integer[];
  v_step integer;
  v_found integer[] := array[]::integer[];
begin
  foreach v_term in array string_to_array(upper(given collate "C"), ',') loop
    v_parts := regexp_match(v_term, '^(?:(\*)|([0-9]{1,9}|[A-Z]+)(?:-([0-9]{1,9}|[A-Z]+))?)(?:/([0-9]{1,9}))?$');
    if v_parts is null then
      perform pgqueue._refuse('PQ001', format('cron: %s is %L, and %L cannot be read', field, given, v_term), c_hint);
    end if;
    v_step := coalesce(v_parts[4]::integer, 1);
    if v_step = 0 then
      perform pgqueue._refuse('PQ001', format('cron: the step of %s is 0 in %L', field, v_term), c_hint);
    end if;
    if v_parts[1] = '*' then
      v_ends := array[lowest, highest];
    else
      -- A number alone ends where it begins, but where it has a step at the highest. Friday to Sunday is a range too: Sunday is 7 there.
      v_ends := array(
        select case
          when e.word ~ '^[0-9]' then e.word::integer
          when e.nth = 2 and highest = 7 and e.word = 'SUN' then 7
          else array_position(names, e.word) - 1 + lowest end
        from unnest(v_parts[2:3]) with ordinality e(word, nth) where e.word is not null order by e.nth);
      if cardinality(v_ends) = 1 then
        v_ends := v_ends || case when v_parts[4] is null then v_ends[1] else highest end;
      end if;
      if array_position(v_ends, null) is not null or v_ends[1] < lowest or v_ends[2] > highest or v_ends[1] > highest then
        perform pgqueue._refuse('PQ001', format('cron: %s is %s in %L, not from %s to %s', field, concat_ws('-', v_parts[2], v_parts[3]), v_term, lowest, highest), c_hint);
      elsif v_ends[1] > v_ends[2] then
        perform pgqueue._refuse('PQ001', format('cron: the range %s of %s runs backwards', v_term, field), c_hint);
      end if;
    end if;
    v_found := v_found || array(select n from generate_series(v_ends[1], v_ends[2], v_step) n);
  end loop;
  return array(select distinct n from unnest(v_found) n order by n);
end $$;
