-- How a script that is through is to be settled.
create function pgqueue._script_verdict(in script pgqueue.script, out verdict text, out failure jsonb)
language sql
as $$
  select case (script).status when 'failed' then 'discard' else (script).status end,
    case (script).status when 'failed' then
      jsonb_build_object('type', 'ScriptFailed', 'message', coalesce((script).failed_reason, 'failed'), 'position', (script).position) end;
$$;
