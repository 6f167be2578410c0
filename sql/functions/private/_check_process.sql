create function pgqueue._check_process(process_id text) returns void
language plpgsql
as $$
begin
  if process_id is not null then
    perform pgqueue._check_name('process_id', process_id, 96);
  end if;
end $$;
