-- The lease is looked at and not held, as by job_heartbeat: a settle must not find it locked by what another of its jobs has to say. Lines of a job that is taken away at the
-- same moment were written before that. Calls for one job take turns, for the sake of its numbers; other jobs do not meet.
create function pgqueue.log_lines(lease bigint, job bigint, lines jsonb)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_config record;
  v_attempt smallint;
  v_last record;
  v_room integer;
  v_given integer;
  v_stored integer;
begin
  perform pgqueue._check_log_lines(lines);
  perform pg_advisory_xact_lock(hashtextextended(job::text, pgqueue._lock_class('log')));
  select l.attempts[array_position(l.job_ids, log_lines.job)] into v_attempt
  from pgqueue.lease l where l.id = log_lines.lease and l.job_ids @> array[log_lines.job];
  if not found then
    perform pgqueue._refuse('PQ004', format('lease %s does not hold job %s', coalesce(lease::text, 'null'), coalesce(job::text, 'null')),
      'The job was taken away: stop working on it, and settle nothing.');
  end if;
  select c.job_log_lines as lines, c.job_log_chars as chars into v_config from pgqueue.config c;
  select l.line, l.fields ? 'dropped' and l.level = 'warning' as dropped into v_last from pgqueue.job_log l where l.job_id = log_lines.job order by l.line desc limit 1;
  v_room := greatest(v_config.lines - coalesce(v_last.line, 0), 0);
  v_given := jsonb_array_length(lines);

  insert into pgqueue.job_log (job_id, line, at, attempt, level, message, fields)
  select log_lines.job, coalesce(v_last.line, 0) + e.nth, coalesce((e.line ->> 'at')::timestamptz, pgqueue._now()), v_attempt,
    coalesce(e.line ->> 'level', 'info'), left(e.line ->> 'message', v_config.chars),
    case when length(e.line ->> 'fields') > v_config.chars then jsonb_build_object('cut', left(e.line ->> 'fields', v_config.chars)) else nullif(e.line -> 'fields', 'null') end
  from jsonb_array_elements(lines) with ordinality e(line, nth)
  where e.nth <= v_room;
  get diagnostics v_stored = row_count;
  if v_given > v_room and not coalesce(v_last.dropped, false) then
    insert into pgqueue.job_log (job_id, line, at, attempt, level, message, fields)
    values (log_lines.job, coalesce(v_last.line, 0) + v_stored + 1, pgqueue._now(), v_attempt, 'warning',
      format('more lines were dropped: the log of a job keeps %s', v_config.lines), '{"dropped": true}');
  end if;
  return v_stored;
end $$;

comment on function pgqueue.log_lines is
'Appends to the log of a job that runs: an array of {"message", "level" (info), "at" (now), "fields" (an object)}, of which only message is needed. A job keeps 1,000 lines
of 8,192 characters (see configure: job_log_lines, job_log_chars), over all its attempts; what is longer is cut, and after the last line one says that more were
dropped. Returns how many were stored. Errors: PQ001; PQ004 when the lease does not hold the job: stop working on it.';
