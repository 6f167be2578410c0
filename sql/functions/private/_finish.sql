-- The final transition: every job that ends, ends here, whether settled, cancelled, expired or lost. Writes the outcomes and lets go of what
-- the jobs held; takes them from nowhere, that is the caller's part. The arrays are parallel; `states` null means all succeeded,
-- `traits` null means none has any. `forget`: 0 keep every outcome, 1 only unsuccessful ones, 2 none (the job row goes instead).
create function pgqueue._finish(
  jobs bigint[],
  states text[],
  reasons text[],
  attempts smallint[],
  traits integer[],
  results jsonb[],
  worker bigint,
  claimed_at timestamptz,
  forget smallint) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_traits integer;
  v_low bigint;
  v_high bigint;
begin
  if traits is not null and 0 <> any(select t & 512 from unnest(traits) t) then
    -- Before the rows of jobs without history go; and what slices bring is kept by row, not twice.
    perform pgqueue._slices_ended(jobs, states, reasons, results, worker);
    results := array(select case when e.traits & 512 = 0 then e.result end from unnest(_finish.traits, _finish.results) e(traits, result));
  end if;
  if traits is not null and 0 <> any(select t & 1024 from unnest(traits) t) then
    -- So is the result of a keyed item: text, with a life of its own.
    perform pgqueue._keyed_ended(jobs, states, reasons, traits, results);
    if results is not null then
      results := array(select case when e.traits & 1024 = 0 then e.result end from unnest(_finish.traits, _finish.results) e(traits, result));
    end if;
  end if;
  if traits is not null and 0 <> any(select t & 8192 from unnest(traits) t) then
    perform pgqueue._follow_up(jobs, states, reasons, traits, results);
  end if;
  if states is null then
    if forget = 0 then
      insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt, result)
      select e.id, v_now, _finish.claimed_at, _finish.worker, 'succeeded', e.attempt, e.result
      from unnest(jobs, attempts, results) e(id, attempt, result);
    end if;
  else
    insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt, reason, result)
    select e.id, v_now, _finish.claimed_at, _finish.worker, e.state::pgqueue.final_state, e.attempt, e.reason, e.result
    from unnest(jobs, states, reasons, attempts, results) e(id, state, reason, attempt, result)
    where forget = 0 or (forget = 1 and e.state <> 'succeeded');
    if 'failed' = any(states) then
      perform pgqueue._dead_letters(jobs, states, reasons, attempts, traits);
    end if;
  end if;
  if forget > 0 then
    select min(e.id), max(e.id) into v_low, v_high from unnest(jobs) e(id);
    perform pgqueue._forget_traces(case
      when forget = 2 or states is null then jobs
      else array(select e.id from unnest(jobs, states) e(id, state) where e.state = 'succeeded') end, v_low, v_high);
    delete from pgqueue.job j
    where j.id between v_low and v_high and j.id = any(case
      when forget = 2 or states is null then jobs
      else array(select e.id from unnest(jobs, states) e(id, state) where e.state = 'succeeded') end);
  end if;

  if traits is not null then
    select bit_or(t) into v_traits from unnest(traits) t;
    if v_traits & 2049 <> 0 then
      perform pgqueue._free_keys(jobs);
    end if;
    if v_traits & 32 <> 0 then
      delete from pgqueue.crash c where c.job_id = any(jobs);
    end if;
    if v_traits & 64 <> 0 then
      delete from pgqueue.changed_priority p where p.job_id = any(jobs);
    end if;
    if v_traits & 2 <> 0 then
      perform pgqueue._free_slots(case when 'failed' = any(states) then pgqueue._not_blocking(jobs, states) else jobs end);
    end if;
    if v_traits & 128 <> 0 then
      perform pgqueue._sql_jobs_ended(jobs, states, reasons, traits);
    end if;
    if v_traits & 4096 <> 0 then
      perform pgqueue._parents_ended(jobs, states, traits);
    end if;
  end if;
  perform pgqueue._announce(jobs);
end $$;
