-- What submit_script and submit_query have in common. Returns the owner.
create function pgqueue._check_submit(owner text, queue text, priority integer, datasource text, role text, settings jsonb) returns text
language plpgsql
as $$
declare
  v_owner text := coalesce(owner, session_user::text);
begin
  perform pgqueue._check_name('owner', v_owner, 500);
  perform pgqueue._check_name('queue', queue, 200);
  perform pgqueue._check_priority(priority);
  perform pgqueue._check_session(datasource, role, settings);
  return v_owner;
end $$;
