-- The job of a script or a query: written like any other, and put into the inbox of its owner, or where it waits for others. What the script or query has of its own is there already: a job
-- whose parents have failed ends here. Refused when its queue is full.
create function pgqueue._new_sql_job(
  id bigint,
  kind text,
  args jsonb,
  queue text,
  owner text,
  priority integer,
  traits integer,
  expires_at timestamptz,
  depends_on bigint[],
  on_parent_failure text,
  on_success jsonb,
  on_error jsonb) returns void
language plpgsql
as $$
#variable_conflict use_variable
begin
  if num_nonnulls(depends_on, on_success, on_error) > 0 then
    perform pgqueue._store_jobs(array[(
      id, kind, args, queue, priority, pgqueue._now(), null, owner, null, null, expires_at, null, null, null, 128 | traits, null, null, null, depends_on, null,
      on_parent_failure, on_success, on_error, null)::pgqueue.new_job], pgqueue._now());
    if exists (select from pgqueue.dependent d where d.job_id = id) then
      return;
    end if;
  else
    insert into pgqueue.job (id, created_at, expires_at, priority, queue, kind, group_key, args)
    values (id, pgqueue._now(), expires_at, priority, queue, kind, owner, args);
    if expires_at is not null then
      insert into pgqueue.deadline (expires_at, job_id) values (expires_at, id);
    end if;
    insert into pgqueue.arrival (seq, job_id, traits, priority, attempt, queue, group_key)
    values (id, id, 130 | traits | case when expires_at is null then 0 else 16 end, priority, 0, queue, owner);
    perform pgqueue._open_lane(queue, priority::smallint, true);
    perform pgqueue._wake(queue);
  end if;
  if pg_sequence_last_value('pgqueue.bounded') is not null then
    perform pgqueue._refuse_if_full(queue, array[id]);
  end if;
end $$;
