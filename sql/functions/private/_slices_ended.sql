-- The part of the final transition that belongs to slices: what became of their rows is written down, and the batch counted down; the last one ends it. Results are arrays of
-- {"row", "status", "result", "messages", "output", "delay"}, one for each row of the slice; status succeeded, failed, aborted, or later: that row goes on in a slice of its own.
-- A row that a succeeded slice says nothing of, or nothing sensible, has failed. Of a batch that is over, late results are discarded.
--
-- Batches are locked in the order of their ids: the counters, which only workers and aborts write.
create function pgqueue._slices_ended(jobs bigint[], states text[], reasons text[], results jsonb[], worker bigint) returns void
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_batch pgqueue.batch;
  v_count pgqueue.batch_count;
  v_jobs bigint[];
  v_later jsonb[];
  v_delays float8[];
  v_done record;
  v_id bigint;
begin
  for v_id, v_jobs in
    -- Each looked up by itself: the order by batches would otherwise invite a walk of the index that gives it.
    select s.batch_id, array_agg(s.job)
    from (select j.job, (select s.batch_id from pgqueue.batch_slice s where s.job_id = j.job) as batch_id from unnest(jobs) j(job) offset 0) s
    where s.batch_id is not null group by s.batch_id order by s.batch_id
  loop
    select * into v_count from pgqueue.batch_count c where c.batch_id = v_id for no key update;
    select * into v_batch from pgqueue.batch b where b.id = v_id;
    continue when v_batch.done_at is not null or v_batch.id is null;
    if v_batch.gate = any(v_jobs) then
      -- No slice of it can end beside: they are all held.
      perform pgqueue._gate_ended(v_batch, states[array_position(jobs, v_batch.gate)], reasons[array_position(jobs, v_batch.gate)]);
      continue;
    end if;
    with given as materialized (
      select e.job, e.state, e.reason, e.result from unnest(jobs, states, reasons, results) e(job, state, reason, result) where e.job = any(v_jobs)),
    asked as materialized (
      select g.job, g.state, g.reason, (i.value ->> 0)::integer as row_id, (i.value ->> 1)::integer as line, i.value
      from given g
      cross join lateral (select j.args from pgqueue.job j where j.id = g.job offset 0) j
      cross join lateral jsonb_array_elements(j.args -> 'rows') i(value)),
    said as materialized (
      select distinct on (g.job, o."row" collate "C") g.job, o.*
      from given g
      cross join lateral jsonb_to_recordset(case
        when jsonb_typeof(g.result) = 'array' and not exists (select from jsonb_array_elements(g.result) e where jsonb_typeof(e) <> 'object') then g.result
        else '[]' end) o("row" text, status text, result jsonb, messages jsonb, output jsonb, delay jsonb)
      where coalesce(g.state, 'succeeded') = 'succeeded'),
    heard as materialized (
      select a.job, coalesce(a.state, 'succeeded') as state, a.reason, a.row_id, a.line, a.value, o.status, o.result, o.messages,
        case when jsonb_typeof(o.output) = 'object' then o.output end as output,
        case when jsonb_typeof(o.delay) = 'number' then round(least(greatest(o.delay::numeric, 0), 3e8), 6) else 0 end as delay,
        case
          when o.job is null then 'the processor said nothing of this row'
          when o.status is null or o.status not in ('succeeded', 'failed', 'aborted', 'later') then 'unknown status ' || coalesce(left(o.status, 100), 'null')
          when jsonb_typeof(o.output) = 'object' and exists (select from jsonb_object_keys(o.output) k where length(k) > 500)
            then 'the name of an output file is longer than 500 characters'
          end as fault
      from asked a left join said o on o.job = a.job and o."row" collate "C" = a.row_id::text),
    judged as materialized (
      select h.*, case
        when h.state = 'cancelled' then 'aborted'
        when h.fault is not null then 'failed'
        else h.status end as verdict
      from heard h),
    kept as (
      insert into pgqueue.row_outcome (batch_id, line, row_id, status, done_at, worker_id, result, messages, output)
      select v_id, j.line, j.row_id, j.verdict, v_now, _slices_ended.worker, j.result, case
          when j.state = 'failed' then pgqueue._slice_messages(j.job, j.reason)
          when j.fault is null then j.messages
          when j.verdict = 'failed' then jsonb_build_array(jsonb_build_object('msgid', 10, 'errcode', 'processing_error', 'vals', jsonb_build_array(j.fault)))
          end,
        case when j.verdict in ('succeeded', 'failed') and j.fault is null then j.output end
      from judged j where j.verdict <> 'later'
      on conflict do nothing
      returning status, output),
    files as (
      insert into pgqueue.batch_file as f (batch_id, name, lines, chars)
      select v_id, n.name, sum(n.lines), sum(n.chars)
      from (
        -- A text is one line, an array several; nothing is trimmed, a blank line is a line, null is none. So output_file reads them.
        select x.name, case jsonb_typeof(x.value)
            when 'array' then (select count(*) from jsonb_array_elements(x.value) l where l <> 'null') when 'null' then 0 else 1 end as lines,
          case jsonb_typeof(x.value)
            when 'array' then (select sum(length(l) + 1) from jsonb_array_elements_text(x.value) l) else length(x.value #>> '{}') + 1 end as chars
        from kept k cross join jsonb_each(k.output) x(name, value)) n
      where n.lines > 0 group by n.name order by n.name
      on conflict (batch_id, name) do update set lines = f.lines + excluded.lines, chars = f.chars + excluded.chars)
    select count(*) as rows, count(*) filter (where k.status = 'succeeded') as succeeded, count(*) filter (where k.status = 'failed') as failed,
      count(*) filter (where k.status = 'aborted') as aborted,
      (select array_agg(jsonb_build_array(jsonb_build_array(j.row_id, j.line, j.value -> 2, coalesce((j.value ->> 3)::integer, 0) + 1))) from judged j where j.verdict = 'later') as later,
      (select array_agg(j.delay) from judged j where j.verdict = 'later') as delays
    into v_done from kept k;

    v_later := v_done.later;
    v_delays := v_done.delays;
    for i in 1..coalesce(cardinality(v_later), 0) loop
      perform pgqueue._make_slices(v_batch, array[v_later[i]], case when v_delays[i] > 0 then v_now + make_interval(secs => v_delays[i]) end);
    end loop;
    update pgqueue.batch_count c
    set pending = c.pending - v_done.rows, succeeded = c.succeeded + v_done.succeeded, failed = c.failed + v_done.failed, aborted = c.aborted + v_done.aborted
    where c.batch_id = v_id returning c.* into v_count;
    if v_count.pending = 0 then
      perform pgqueue._finish_batch(v_id, case when v_count.aborted > 0 then 'aborted' when v_count.failed > 0 then 'failed' else 'succeeded' end);
      if (select d.job_id from pgqueue.dependent d where d.job_id = v_batch.gate) is not null then
        -- Its rows were cancelled one by one while it waits for others: nobody is to wait in its name.
        perform pgqueue.cancel(v_batch.gate);
      end if;
    end if;
  end loop;
end $$;
