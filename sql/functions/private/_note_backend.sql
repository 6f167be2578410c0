-- Writes down which server process runs a job's SQL from now on, and says which one did before unless that run has ended in order.
create function pgqueue._note_backend(
  in job bigint,
  in pid integer,
  in backend_start timestamptz,
  out old_pid integer,
  out old_backend_start timestamptz)
language plpgsql
as $$
begin
  select b.pid, b.backend_start into old_pid, old_backend_start from pgqueue.backend b where b.job_id = _note_backend.job for update;
  if pid is null then
    return;  -- no session could be had: there will only be a failure to record
  end if;
  if backend_start is null then
    perform pgqueue._refuse('PQ001', 'backend_start is null', 'Give the backend_start that pg_stat_activity shows for the session that will run the SQL.');
  end if;
  insert into pgqueue.backend (job_id, pid, backend_start) values (_note_backend.job, _note_backend.pid, _note_backend.backend_start)
  on conflict (job_id) do update set pid = excluded.pid, backend_start = excluded.backend_start;
end $$;
