-- The part of the final transition that belongs to gates. `state` null: it has succeeded. The caller has the batch's counters locked. It is in the settle of another job and so has a moment:
-- a large batch is let go, or aborted, by upkeep, and one that is to be aborted waits until then.
create function pgqueue._gate_ended(batch pgqueue.batch, state text, reason text) returns void
language plpgsql
as $$
begin
  if reason = 'parent_failed' and (select c.rows from pgqueue.batch_count c where c.batch_id = (batch).id) > 5000 then
    update pgqueue.batch b set reason = 'parent_failed' where b.id = (batch).id;
    insert into pgqueue.batch_leaving (batch_id, after) values ((batch).id, (batch).id);
    return;
  end if;
  update pgqueue.batch b set waits = false, reason = case _gate_ended.reason when 'parent_failed' then _gate_ended.reason end where b.id = (batch).id;
  if state <> 'succeeded' then
    perform pgqueue._abort_batch(batch, null, true);
  else
    perform pgqueue._let_go((batch).id, true);
  end if;
end $$;
