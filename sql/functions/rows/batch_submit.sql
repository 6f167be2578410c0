create function pgqueue.batch_submit(
  app text,
  op text,
  context jsonb default '{}',
  rows jsonb default '[]',
  hold boolean default false,
  owner text default null,
  priority integer default 0,
  slice_size integer default 10)
returns bigint
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
  return pgqueue.batch_submit_each(app, op, context, coalesce(v_lines, '{}'), coalesce(v_inputs, '{}'), hold, owner, priority, slice_size);
end $$;

comment on function pgqueue.batch_submit is
'Hands rows over to be processed, each once, by the processor of this application''s operation on whatever worker has one; returns the batch''s id. rows: [{"line": 1, "input": …}, …]; lines are the
caller''s numbers, from 1, gaps and doubles allowed. context: goes to the processor with every row. hold: nothing runs yet, more rows will be appended. owner: who it belongs to (default:
the role that calls). slice_size: how many rows a worker takes at a time. op is lower-cased. Errors: PQ001, also for no rows unless held; PQ008 its queue, app/op, has max_queued and is full, unless held; nothing is stored then.';
