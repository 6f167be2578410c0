-- A script as it was handed in, in any of its forms, checked and brought into one: {"queries": [{"query", "onsuccess"?, "onerror"?, "timeout"?, …}], "onsuccess"?, "onerror"?}. What else the caller
-- wrote beside a query stays there and comes back in the report.
create function pgqueue._script_document(document jsonb) returns jsonb
language plpgsql
as $$
declare
  c_forms constant text := 'Give {"query": "select 1"}, or an array of texts and objects in its place, each object with "query" and, if wanted, "onsuccess", "onerror" and "timeout" (ms).';
  v_body jsonb := case when jsonb_typeof(document) in ('string', 'array') then jsonb_build_object('query', document) else document end;
  v_asked jsonb;
  v_outer jsonb := v_body;
  v_queries jsonb := jsonb_build_array();
  v_query jsonb;
  v_fallback text;
  v_nth integer := 0;
begin
  if v_body is null or jsonb_typeof(v_body) <> 'object' then
    perform pgqueue._refuse('PQ001', format('document is %s', coalesce(jsonb_typeof(v_body), 'null')), c_forms);
  end if;
  v_asked := v_body -> 'query';
  if jsonb_typeof(v_asked) = 'object' then
    if (v_asked ? 'onsuccess' or v_asked ? 'onerror') and (v_body ? 'onsuccess' or v_body ? 'onerror') then
      perform pgqueue._refuse('PQ001', 'the fallbacks of the script are given twice', 'Give them beside "query" or inside of it, not both.');
    end if;
    v_outer := v_asked;
    v_asked := v_asked -> 'query';
    if coalesce(jsonb_typeof(v_asked), 'null') <> 'array' then
      perform pgqueue._refuse('PQ001', format('query.query is %s, not an array', coalesce(jsonb_typeof(v_asked), 'missing')), c_forms);
    end if;
  end if;
  case jsonb_typeof(v_asked)
    when 'string' then v_asked := jsonb_build_array(v_asked);
    when 'array' then
      if jsonb_array_length(v_asked) = 0 then
        perform pgqueue._refuse('PQ001', 'the array of queries is empty', c_forms);
      end if;
    else perform pgqueue._refuse('PQ001', format('query is %s', coalesce(jsonb_typeof(v_asked), 'missing')), c_forms);
  end case;

  for v_query in select q from jsonb_array_elements(v_asked) q loop
    if jsonb_typeof(v_query) = 'string' then
      v_query := jsonb_build_object('query', v_query);
    end if;
    if jsonb_typeof(v_query) <> 'object' or coalesce(jsonb_typeof(v_query -> 'query'), 'null') <> 'string' then
      perform pgqueue._refuse('PQ001', format('query %s is not a text and has none', v_nth), c_forms);
    end if;
    perform pgqueue._check_sql(format('query %s', v_nth), v_query ->> 'query', false);
    v_query := v_query - array['status', 'fallback_status', 'failed_reason', 'fallback_error', 'started_at', 'ended_at', 'notices'];
    foreach v_fallback in array array['onsuccess', 'onerror'] loop
      v_query := pgqueue._check_fallback(v_query, v_fallback, format('%s of query %s', v_fallback, v_nth));
    end loop;
    v_queries := v_queries || jsonb_build_array(v_query);
    v_nth := v_nth + 1;
  end loop;
  v_outer := pgqueue._check_fallback(pgqueue._check_fallback(v_outer, 'onsuccess', 'onsuccess of the script'), 'onerror', 'onerror of the script');
  return jsonb_strip_nulls(jsonb_build_object('onsuccess', v_outer -> 'onsuccess', 'onerror', v_outer -> 'onerror')) || jsonb_build_object('queries', v_queries);
end $$;
