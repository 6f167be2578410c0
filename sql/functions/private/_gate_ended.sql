-- The part of the final transition that belongs to gates. `state` null: it has succeeded. The caller has the batch's counters locked.
create function pgqueue._gate_ended(batch pgqueue.batch, state text, reason text) returns void
language plpgsql
as $$
begin
  update pgqueue.batch b set waits = false, reason = case _gate_ended.reason when 'parent_failed' then _gate_ended.reason end where b.id = (batch).id;
  if state <> 'succeeded' then
    perform pgqueue._abort_batch(batch, null, true);
  else
    perform pgqueue._let_go((batch).id, true);
  end if;
end $$;
