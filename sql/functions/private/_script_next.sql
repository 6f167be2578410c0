-- What comes after the query at `position` and its fallback: the next query, the script's own fallback, or nothing. A failed query ends the script; its failed_reason says so.
create function pgqueue._script_next(script pgqueue.script) returns pgqueue.script
language plpgsql
as $$
begin
  if script.failed_reason is null and script.position + 1 < script.length then
    script.position := script.position + 1;
    script.part := 0;
    script.status := 'queued';
    return script;
  end if;
  script.status := case when script.failed_reason is null then 'succeeded' else 'failed' end;
  if script.document ? (case when script.failed_reason is null then 'onsuccess' else 'onerror' end) then
    script.part := 3;
    script.fallback_status := 'queued';
  else
    script.part := 4;
    script.fallback_status := case when script.fallback_status is not null then 'skipped' end;
  end if;
  return script;
end $$;
