-- Four roles by purpose; grant them to login roles. Roles belong to the whole cluster, so they may be there already, and an installer
-- without CREATEROLE goes on without them: then only the owner can call the functions until a DBA has made the roles and grants.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['pgqueue_producer', 'pgqueue_worker', 'pgqueue_operator', 'pgqueue_reader'] loop
    if to_regrole(v_role) is null then
      begin
        execute format('create role %I nologin', v_role);
      exception
        when duplicate_object or unique_violation then null;  -- another installation made it between the look and the act
        when insufficient_privilege then
          raise notice 'role % was not created: ask a superuser for it and apply the grants again', v_role;
      end;
    end if;
  end loop;
end $$;
