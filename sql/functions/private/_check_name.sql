-- Names of queues and kinds, unique and group keys: any text of a sane length. Control characters are refused in names because they hide
-- in terminals and because the claim's cursor uses one as a separator.
create function pgqueue._check_name(what text, name text, longest integer) returns void
language plpgsql
as $$
begin
  if _check_name.name is null or _check_name.name = '' then
    perform pgqueue._refuse('PQ001', format('%s is %s', what, case when name is null then 'null' else 'empty' end),
      format('Give %s as text of 1 to %s characters.', what, longest));
  end if;
  if length(_check_name.name) > longest then
    perform pgqueue._refuse('PQ001', format('%s is %s characters long', what, length(name)),
      format('The longest %s has %s characters.', what, longest));
  end if;
  if octet_length(_check_name.name) > 1800 then
    perform pgqueue._refuse('PQ001', format('%s takes %s bytes', what, octet_length(name)), 'It may take 1800 bytes in UTF-8: an index has to hold it.');
  end if;
  if _check_name.name ~ '[\x01-\x1f\x7f-\x9f]' then
    perform pgqueue._refuse('PQ001', format('%s contains a control character', what), 'Take it out: names are printable text.');
  end if;
end $$;
