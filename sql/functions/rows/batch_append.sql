create function pgqueue.batch_append(id bigint, rows jsonb, hold boolean default true)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_lines integer[];
  v_inputs jsonb[];
begin
  select a.lines, a.inputs into v_lines, v_inputs from pgqueue._row_arrays(rows) a;
  return pgqueue.batch_append_each(id, coalesce(v_lines, '{}'), coalesce(v_inputs, '{}'), hold);
end $$;

comment on function pgqueue.batch_append is
'Adds rows, [{"line", "input"}, …], to a batch that is held, and returns how many it has now. hold: stay held; false releases it. Errors: PQ001, PQ002 unknown batch, PQ005 when it is not held; nothing is stored
then.';
