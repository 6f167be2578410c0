create function pgqueue.batch_submit(
  app text,
  op text,
  context jsonb default '{}',
  rows jsonb default '[]',
  hold boolean default false,
  owner text default null,
  priority integer default 0,
  slice_size integer default 10,
  depends_on bigint[] default null,
  on_parent_failure text default null,
  on_success jsonb default null,
  on_error jsonb default null)
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
  return pgqueue.batch_submit_each(app, op, context, coalesce(v_lines, '{}'), coalesce(v_inputs, '{}'), hold, owner, priority, slice_size, depends_on, on_parent_failure, on_success, on_error);
end $$;

comment on function pgqueue.batch_submit is
'Hands rows over to be processed, each once, by the processor of this application''s operation on whatever worker has one; returns the batch''s id. rows: [{"line": 1, "input": …}, …]; lines are the
caller''s numbers, from 1, gaps and doubles allowed. context: goes to the processor with every row. hold: nothing runs yet, more rows will be appended. owner: who it belongs to (default:
the role that calls). slice_size: how many rows a worker takes at a time. op is lower-cased.
depends_on: ids of jobs, batches and slow queries that must end first; it is held until then, and when hold is
given too, until it is released as well. on_parent_failure: when one of them fails or is cancelled, cancel (it is aborted, reason parent_failed), run it all the same, or wait until that one has been retried. on_success, on_error:
a job, or an array of jobs, as enqueue_many takes them, enqueued when it succeeds, or fails or is aborted; its "pass_as" names the argument that receives {"succeeded", "failed", "aborted"}, or {"state", "reason", "error"}.
Errors: PQ001, also for no rows unless held; PQ002 for an unknown id in depends_on; PQ008 its queue, app/op, has max_queued and is full, unless held; nothing is stored then.';
