-- Names too long for the core are cut, and told apart by what they were.
create function pgqueue._keyed_long_line(name text) returns text
language plpgsql immutable
as $$
begin
  return case
    when length(name) <= 200 then name
    else left(name, 130) || '~' || encode(sha256(convert_to(name, 'UTF8')), 'hex') end;
end $$;
