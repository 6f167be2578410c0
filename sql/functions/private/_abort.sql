-- What batch_abort and slow_query_abort have in common.
create function pgqueue._abort(
  in id bigint,
  in kind text,
  in as_owner text,
  in why text,
  out status text,
  out succeeded integer,
  out failed integer,
  out aborted integer,
  out changed boolean)
language plpgsql
as $$
#variable_conflict use_column
declare
  v_batch pgqueue.batch := pgqueue._batch_or_refuse(id, kind, true);
  v_count pgqueue.batch_count;
  v_now timestamptz := pgqueue._now();
  v_slice bigint;
  v_slices bigint[];
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  select * into v_count from pgqueue.batch_count c where c.batch_id = _abort.id;
  changed := v_batch.done_at is null;
  if changed then
    insert into pgqueue.row_outcome (batch_id, line, row_id, status, done_at)
    select _abort.id, (r.value ->> 1)::integer, (r.value ->> 0)::integer, 'aborted', v_now
    from pgqueue.batch_slice s
    cross join lateral (select j.args from pgqueue.job j where j.id = s.job_id offset 0) j
    cross join jsonb_array_elements(j.args -> 'rows') r(value)
    where s.batch_id = _abort.id
    on conflict do nothing;
    update pgqueue.batch_count c set pending = 0, aborted = c.aborted + c.pending where c.batch_id = _abort.id returning * into v_count;
    perform pgqueue._finish_batch(id, 'aborted');
    -- Slices that are over have an outcome or, in a queue without history, no job any more.
    v_slices := array(
      select s.job_id
      from (select s.job_id from pgqueue.batch_slice s where s.batch_id = _abort.id offset 0) s
      where (select o.job_id from pgqueue.outcome o where o.job_id = s.job_id) is null and (select j.id from pgqueue.job j where j.id = s.job_id) is not null
      order by s.job_id);
    perform pgqueue._drop_slices(v_batch, v_slices);
    foreach v_slice in array v_slices loop
      continue when (select o.job_id from pgqueue.outcome o where o.job_id = v_slice) is not null or (select j.id from pgqueue.job j where j.id = v_slice) is null;
      perform pgqueue.cancel(v_slice, why);
    end loop;
  end if;
  select b.status into status from pgqueue.batch b where b.id = _abort.id;
  succeeded := v_count.succeeded;
  failed := v_count.failed;
  aborted := v_count.aborted;
end $$;
