create function pgqueue.configure(settings jsonb default '{}')
returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  v_hint constant text := 'Keys: lost_after, retention, block_age, sql_timeout, result_ttl, keyed_ttl, log_retention, metric_retention (seconds or interval text), max_crashes, block_size, '
    'blocks_ahead, script_max_chars, script_max_waiting, result_max_bytes, result_max_rows, job_log_lines, job_log_chars (whole numbers).';
  v_key text;
  v_problem text;
begin
  if settings is null or jsonb_typeof(settings) <> 'object' then
    perform pgqueue._refuse('PQ001', format('settings is %s, not an object', coalesce(jsonb_typeof(settings), 'null')), v_hint);
  end if;
  for v_key in select k from jsonb_object_keys(settings) k loop
    if v_key not in ('lost_after', 'retention', 'block_age', 'max_crashes', 'block_size', 'blocks_ahead', 'script_max_chars', 'script_max_waiting', 'sql_timeout', 'result_ttl', 'keyed_ttl',
      'result_max_bytes', 'result_max_rows', 'log_retention', 'job_log_lines', 'job_log_chars', 'metric_retention') then
      perform pgqueue._refuse('PQ001', format('%L is not a setting', v_key), v_hint);
    end if;
  end loop;
  begin
    perform pgqueue._check_interval(k, pgqueue._interval(settings -> k), true) from unnest(array['lost_after', 'block_age', 'sql_timeout', 'result_ttl', 'keyed_ttl']) k;
    perform pgqueue._check_interval(k, pgqueue._interval(settings -> k), false) from unnest(array['retention', 'log_retention', 'metric_retention']) k;
    update pgqueue.config c set
      lost_after = case when settings ? 'lost_after' then pgqueue._interval(settings -> 'lost_after') else c.lost_after end,
      retention = case when settings ? 'retention' then pgqueue._interval(settings -> 'retention') else c.retention end,
      block_age = case when settings ? 'block_age' then pgqueue._interval(settings -> 'block_age') else c.block_age end,
      max_crashes = case when settings ? 'max_crashes' then (settings ->> 'max_crashes')::smallint else c.max_crashes end,
      block_size = case when settings ? 'block_size' then (settings ->> 'block_size')::bigint else c.block_size end,
      blocks_ahead = case when settings ? 'blocks_ahead' then (settings ->> 'blocks_ahead')::smallint else c.blocks_ahead end,
      script_max_chars = case when settings ? 'script_max_chars' then (settings ->> 'script_max_chars')::integer else c.script_max_chars end,
      script_max_waiting = case when settings ? 'script_max_waiting' then (settings ->> 'script_max_waiting')::integer else c.script_max_waiting end,
      sql_timeout = case when settings ? 'sql_timeout' then pgqueue._interval(settings -> 'sql_timeout') else c.sql_timeout end,
      result_ttl = case when settings ? 'result_ttl' then pgqueue._interval(settings -> 'result_ttl') else c.result_ttl end,
      keyed_ttl = case when settings ? 'keyed_ttl' then pgqueue._interval(settings -> 'keyed_ttl') else c.keyed_ttl end,
      result_max_bytes = case when settings ? 'result_max_bytes' then (settings ->> 'result_max_bytes')::bigint else c.result_max_bytes end,
      result_max_rows = case when settings ? 'result_max_rows' then (settings ->> 'result_max_rows')::bigint else c.result_max_rows end,
      log_retention = case when settings ? 'log_retention' then pgqueue._interval(settings -> 'log_retention') else c.log_retention end,
      job_log_lines = case when settings ? 'job_log_lines' then (settings ->> 'job_log_lines')::integer else c.job_log_lines end,
      job_log_chars = case when settings ? 'job_log_chars' then (settings ->> 'job_log_chars')::integer else c.job_log_chars end,
      metric_retention = case when settings ? 'metric_retention' then pgqueue._interval(settings -> 'metric_retention') else c.metric_retention end
    where settings <> '{}';
  exception
    when data_exception or check_violation or not_null_violation then
      get stacked diagnostics v_problem = message_text;
      perform pgqueue._refuse('PQ001', v_problem, v_hint);
  end;
  return (select to_jsonb(c) - 'singleton' from pgqueue.config c);
end $$;

comment on function pgqueue.configure is
'Changes settings of this installation and returns all of them; without arguments it only returns them. lost_after: a worker silent for longer is lost
(30 seconds). max_crashes: a job that was in that many crashes fails as worker_lost (5). retention: how long final jobs are kept where the queue does not
say (7 days). block_size, blocks_ahead, block_age: ids per partition, partitions made ahead, and the age at which a partition is closed. script_max_chars,
script_max_waiting: how large a script may be and how many an owner may have waiting (16,384 and 64). sql_timeout: how long one query of a script, or a query, may run (12
hours). result_ttl, result_max_bytes, result_max_rows: how long results of queries are kept, and how large they may be (1 hour, 1 GiB, no limit).
keyed_ttl: how long results of keyed queues are kept (5 minutes).
log_retention: how long query_log remembers (90 days). job_log_lines, job_log_chars: how many lines a job''s log keeps, and how many characters of a line (1,000 and
8,192). metric_retention: how long throughput remembers (7 days). Errors: PQ001.';
