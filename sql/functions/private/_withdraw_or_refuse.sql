-- _withdraw for functions that need a waiting job.
create function pgqueue._withdraw_or_refuse(
  in job bigint,
  out place text,
  out queue text,
  out priority smallint,
  out attempt smallint,
  out traits integer)
language plpgsql
as $$
declare
  v_was record;
begin
  select * into v_was from pgqueue._withdraw(job);
  place := v_was.place;
  queue := v_was.queue;
  priority := v_was.priority;
  attempt := v_was.attempt;
  traits := v_was.traits;
  if place is null then
    perform pgqueue._refuse('PQ005', format('job %s is %s', job, coalesce(pgqueue._standing(job), 'moving just now')),
      'Only a job that waits can be changed: cancel a running one, enqueue or retry a final one.');
  end if;
  if place = 'held' or place = 'dependent' and traits & 512 <> 0 then
    perform pgqueue._refuse('PQ005', format('job %s is held with its batch', job), 'batch_release lets the batch run; its own priority is given when it is submitted.');
  end if;
end $$;
