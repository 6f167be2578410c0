-- What submit_script and submit_query have in common. Returns the owner.
create function pgqueue._check_submit(owner text, queue text, priority integer, datasource text, role text, settings jsonb) returns text
language plpgsql
as $$
declare
  v_owner text := coalesce(owner, session_user::text);
begin
  perform pgqueue._check_name('owner', v_owner, 500);
  perform pgqueue._check_name('queue', queue, 200);
  if priority is null or priority not between -32768 and 32767 then
    perform pgqueue._refuse('PQ001', format('priority is %s', coalesce(priority::text, 'null')),
      'Give a whole number from -32768 to 32767; higher runs first, 0 is usual.');
  end if;
  perform pgqueue._check_session(datasource, role, settings);
  return v_owner;
end $$;
