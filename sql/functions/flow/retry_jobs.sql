-- Plain jobs all at once, then the others one by one, each as if alone: a key that is taken meanwhile, or another reason not to run again, is that job's own.
create function pgqueue.retry_jobs(
  filter jsonb,
  max integer default 1000,
  after bigint default 0,
  rate_limit integer default null,
  rate_period interval default '1 second',
  starts_at timestamptz default null)
returns table (done bigint, skipped bigint, last bigint, more boolean, next_at timestamptz)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_states constant text[] := array['failed', 'cancelled'];
  v_now timestamptz := pgqueue._now();
  v_start timestamptz := greatest(starts_at, v_now);
  v_batch record;
  v_plain bigint[];
  v_job bigint;
  v_due timestamptz;
  v_outcome boolean;
  v_waits integer := 0;
  v_stopped bigint;
begin
  if rate_limit < 1 then
    perform pgqueue._refuse('PQ001', format('rate_limit is %s', rate_limit), 'Give how many jobs are to run a rate_period, or null for all at once.');
  end if;
  if rate_limit is not null and rate_period is null then
    perform pgqueue._refuse('PQ001', 'rate_period is null', 'Give an interval, such as ''1 second''.');
  end if;
  perform pgqueue._check_interval('rate_period', rate_period, true);
  if starts_at is not null then
    perform pgqueue._check_time('starts_at', starts_at);
  end if;
  select * into v_batch from pgqueue._select_jobs(pgqueue._read_filter(filter, 'retried', v_states), v_states, retry_jobs.max, after);
  v_plain := pgqueue._retry_plain(v_batch.ids, v_start, rate_limit, rate_period);
  done := cardinality(v_plain);
  for v_job in select i from unnest(v_batch.ids) i where i not in (select p from unnest(v_plain) p) loop
    -- Another retry of it, or an edit, has it just now: passed over.
    perform from pgqueue.outcome o where o.job_id = v_job and o.state <> 'succeeded' for update skip locked;
    continue when not found;
    v_due := v_start + coalesce((extract(epoch from rate_period) * done / rate_limit)::float8, 0) * interval '1 second';
    v_outcome := pgqueue._try_on(v_job, 'retry', case when v_due > v_now then to_jsonb(v_due) else 'null' end);
    if v_outcome then
      done := done + 1;
    elsif v_outcome is null then
      v_waits := v_waits + 1;
      if v_waits >= 40 then
        v_stopped := v_job;
        exit;
      end if;
    end if;
  end loop;
  return query
  select b.done, b.skipped, b.last, b.more,
    case when rate_limit is not null then v_start + (extract(epoch from rate_period) * retry_jobs.done / rate_limit)::float8 * interval '1 second' end
  from pgqueue._bulk_row(v_batch.ids, v_plain, retry_jobs.done - cardinality(v_plain), v_stopped, v_batch.last, v_batch.more) b;
end $$;

comment on function pgqueue.retry_jobs is
'Runs failed and cancelled jobs that match a filter again, as retry does: a redrive. One batch; filter, max, after and what is returned are those of cancel_jobs. skipped: matched, but cannot run again (another live job has the
unique key; scripts, rows of batches, items of keyed queues), or are locked by another session.
rate_limit: so many start a rate_period, spread evenly by their run_at from starts_at on (default now); null: all at once. next_at: where the spread has come to; pass it as starts_at of the next batch.
Errors: PQ001.';
