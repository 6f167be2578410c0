-- Checks one fallback of a query or script; one that is null is as good as none.
create function pgqueue._check_fallback(given jsonb, fallback text, what text) returns jsonb
language plpgsql
as $$
begin
  if coalesce(given -> fallback, 'null') = 'null' then
    return given - fallback;
  end if;
  if jsonb_typeof(given -> fallback) <> 'string' then
    perform pgqueue._refuse('PQ001', format('%s is %s, not text', what, jsonb_typeof(given -> fallback)), 'Give the text of an SQL statement, or leave it out.');
  end if;
  perform pgqueue._check_sql(what, given ->> fallback, false);
  return given;
end $$;
