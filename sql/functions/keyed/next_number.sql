create function pgqueue.next_number(name text)
returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  v_value bigint;
begin
  perform pgqueue._check_name('name', name, 500);
  insert into pgqueue.number as n (name, value) values (next_number.name, 1)
  on conflict on constraint number_pkey do update set value = n.value + 1
  returning n.value into v_value;
  return v_value;
end $$;

comment on function pgqueue.next_number is
'The next of the whole numbers 1, 2, 3, … under this name; no two callers get the same. Callers of one name wait for each other''s transactions, so that none is left out. Errors: PQ001.';
