-- One pass of upkeep. Safe to run twice and anywhere; two at once would only be in each other's way, so the second does nothing. Each duty has its own
-- failure, which is reported and leaves the others alone. Locks are waited for briefly: what is busy now is done in the next pass. Those that lock whole
-- tables, for dropping and attaching partitions, come last: their locks are held until the end of the pass. And rescue comes first, which waits for batches and must have nothing in
-- hand then; so the order is always the same.
create function pgqueue.maintain(duties text[] default null)
returns table (duty text, done bigint, error text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '1s'
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_all constant text[] := array['rescue', 'promote', 'schedules', 'expire', 'dependents', 'admit', 'tidy', 'results', 'metrics', 'retention', 'blocks'];
begin
  if not duties <@ v_all then
    perform pgqueue._refuse('PQ001', format('unknown duty in %s', duties), format('Duties are %s; null means all.', array_to_string(v_all, ', ')));
  end if;
  if not pg_try_advisory_xact_lock(pgqueue._lock_class('lead'), 2) then
    return;
  end if;
  foreach duty in array array(select a.name from unnest(v_all) with ordinality a(name, nth) where duties is null or a.name = any(duties) order by a.nth) loop
    error := null;
    begin
      done := case duty
        when 'rescue' then pgqueue._duty_rescue() + pgqueue._duty_overdue()
        when 'promote' then pgqueue._duty_promote() + pgqueue._duty_rates()
        when 'schedules' then pgqueue._duty_schedules()
        when 'expire' then pgqueue._duty_expire()
        when 'dependents' then pgqueue._duty_dependents() + pgqueue._duty_leaving()
        when 'admit' then pgqueue._duty_admit() + pgqueue._duty_age()
        when 'blocks' then pgqueue._duty_blocks()
        when 'retention' then pgqueue._duty_retention()
        when 'tidy' then pgqueue._duty_tidy() + pgqueue._tidy_starts()
        when 'results' then pgqueue._duty_results()
        when 'metrics' then pgqueue._duty_metrics() end;
    exception
      when others then
        done := 0;
        get stacked diagnostics error = message_text;
        error := format('%s (%s)', error, sqlstate);
    end;
    return next;
  end loop;
end $$;

comment on function pgqueue.maintain is
'One pass of upkeep, what the leading worker runs every second or so; without such a worker call it from cron. duties: some of rescue (lost workers, overdue
jobs), promote (due jobs, rates that have room again), schedules (due schedules), expire (queue timeouts), dependents (jobs that wait for others), admit (groups, ageing), tidy (rows nobody needs), results (results of queries,
scripts and audit rows that have expired), metrics (counts what has ended, for throughput), retention (history that is past), blocks (partitions ahead);
null means all. Returns what each did, or its error. No row: another pass is under way. Errors: PQ001.';
