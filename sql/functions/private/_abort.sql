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
begin
  perform pgqueue._check_owner(v_batch, as_owner);
  select * into v_count from pgqueue.batch_count c where c.batch_id = _abort.id;
  changed := v_batch.done_at is null;
  if changed then
    v_count := pgqueue._abort_batch(v_batch, why, false);
  end if;
  select b.status into status from pgqueue.batch b where b.id = _abort.id;
  succeeded := v_count.succeeded;
  failed := v_count.failed;
  aborted := v_count.aborted;
end $$;
