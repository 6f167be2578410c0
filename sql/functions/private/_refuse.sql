-- Every refusal of ours goes through here: the closed set of SQLSTATEs, a message that says what is wrong and a hint on what to do.
--   PQ001 invalid argument · PQ002 unknown job · PQ003 unknown worker · PQ004 stale lease · PQ005 not possible in this state
create function pgqueue._refuse(code text, message text, hint text) returns void
language plpgsql
as $$
begin
  raise exception using errcode = _refuse.code, message = _refuse.message, hint = _refuse.hint;
end $$;
