-- How a script that is through is to be settled. The result of one that has succeeded is its report, without texts and notices.
create function pgqueue._script_verdict(in script pgqueue.script, out verdict text, out failure jsonb, out result jsonb)
language plpgsql
as $$
declare
  v_report jsonb;
begin
  case (script).status
    when 'failed' then
      verdict := 'discard';
      failure := jsonb_build_object('type', 'ScriptFailed', 'message', coalesce((script).failed_reason, 'failed'), 'position', (script).position);
    when 'succeeded' then
      verdict := 'succeeded';
      v_report := pgqueue._script_report(script);
      result := v_report - array['onsuccess', 'onerror'] || jsonb_build_object('queries', (
        select jsonb_agg(q.query - array['query', 'onsuccess', 'onerror', 'notices'] order by q.nth)
        from jsonb_array_elements(v_report -> 'queries') with ordinality q(query, nth)));
    else
      verdict := (script).status;
  end case;
end $$;
