create function pgqueue.job_log(id bigint, after bigint default 0, max integer default 1000)
returns table (line bigint, at timestamptz, attempt integer, level text, message text, fields jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
begin
  if job_log.max is null or job_log.max not between 1 and 10000 or job_log.after is null then
    perform pgqueue._refuse('PQ001', format('after is %s, max is %s', coalesce(job_log.after::text, 'null'), coalesce(job_log.max::text, 'null')),
      'Ask for 1 to 10000 lines, after the number of a line or after 0.');
  end if;
  perform pgqueue._state(job_log.id);
  return query
  select l.line::bigint, l.at, l.attempt::integer, l.level, l.message, l.fields
  from pgqueue.job_log l where l.job_id = job_log.id and l.line > job_log.after order by l.line limit job_log.max;
end $$;

comment on function pgqueue.job_log is
'What a job has logged, all its attempts, in the order in which it was stored. after: only lines behind this one, so that a reader who comes again reads on. max: 1 to 10000.
Errors: PQ001, PQ002.';
