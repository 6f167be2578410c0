-- The job of a script or a query: written like any other, and put into the inbox of its owner. Draws the id.
create function pgqueue._new_sql_job(
  kind text,
  args jsonb,
  queue text,
  owner text,
  priority integer,
  traits integer,
  expires_at timestamptz) returns bigint
language plpgsql
as $$
declare
  v_id bigint := nextval('pgqueue.job_id');
begin
  insert into pgqueue.job (id, created_at, expires_at, priority, queue, kind, group_key, args)
  values (v_id, pgqueue._now(), _new_sql_job.expires_at, _new_sql_job.priority, _new_sql_job.queue, _new_sql_job.kind, owner, _new_sql_job.args);
  if expires_at is not null then
    insert into pgqueue.deadline (expires_at, job_id) values (_new_sql_job.expires_at, v_id);
  end if;
  insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
  values (v_id, v_id, 130 | _new_sql_job.traits | case when expires_at is null then 0 else 16 end, _new_sql_job.priority, 0, _new_sql_job.queue, owner);
  perform pgqueue._open_lane(queue, priority::smallint, true);
  perform pgqueue._wake(queue);
  return v_id;
end $$;
