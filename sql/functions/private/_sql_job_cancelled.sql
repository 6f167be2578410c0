-- A cancel of a running job was asked for: a script is cancelled from now on, whatever its query still comes to, and nobody new attaches to a query. The worker will end what runs;
-- where that is this server, and this function's owner may, it is ended here already.
create function pgqueue._sql_job_cancelled(job bigint) returns void
language plpgsql
as $$
declare
  v_script pgqueue.script;
begin
  select * into v_script from pgqueue.script s where s.job_id = _sql_job_cancelled.job for update;
  if v_script.part < 4 then
    perform pgqueue._stop_script(v_script, 'cancelled', null);
  elsif v_script.job_id is null then
    delete from pgqueue.job_key k where k.job_id = _sql_job_cancelled.job and k.queue = '';
  end if;
  perform pgqueue._cancel_backend(job);
end $$;
