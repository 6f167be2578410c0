-- A waiting job is taken from where it waits and is final at once. A running one is asked: its worker is told by a notification and by its next
-- heartbeat. A job that moves between the two looks is looked for again.
create function pgqueue.cancel(id bigint, why text default null)
returns table (state text, changed boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_was record;
  v_lease pgqueue.lease;
begin
  -- Before the job is taken from where it waits: an abort of its batch holds this lock and wants that row.
  perform from pgqueue.batch_count c
  where c.batch_id = (select s.batch_id from pgqueue.batch_slice s where s.job_id = cancel.id) for no key update;
  -- The place of a script that is held, then the script, then whatever else it stands in: whoever cancels, moves or releases one goes by this order.
  if exists (select from pgqueue.script s where s.job_id = cancel.id) then
    perform from pgqueue.dependent d where d.job_id = cancel.id for update;
    perform from pgqueue.script s where s.job_id = cancel.id for update;
  end if;
  for v_look in 1..100 loop
    select * into v_was from pgqueue._withdraw(cancel.id);
    if v_was.place is not null then
      if why is not null then
        perform pgqueue._note_event(cancel.id, 'cancel requested', jsonb_build_object('why', cancel.why));
      end if;
      perform pgqueue._finish(array[cancel.id], array['cancelled'], array['cancelled_by_user'], array[v_was.attempt], array[v_was.traits], null,
        null, null, pgqueue._forget((select q.history from pgqueue.queue q where q.name = v_was.queue)));
      return query select 'cancelled', true;
      return;
    end if;
    state := pgqueue._standing(cancel.id);
    if state = 'running' then
      insert into pgqueue.cancel_request (job_id, requested_at, why) values (cancel.id, pgqueue._now(), cancel.why)
      on conflict (job_id) do nothing;
      changed := found;
      v_lease := pgqueue._lease_of(cancel.id);
      if v_lease.worker_id = 0 then
        -- A client has it, who can be told but not asked.
        delete from pgqueue.cancel_request c where c.job_id = cancel.id;
        continue when not pgqueue._keyed_drop(cancel.id, 'cancelled_by_user');
        return query select 'cancelled', true;
        return;
      elsif v_lease.id is not null then
        if changed then
          perform pgqueue._note_event(cancel.id, 'cancel requested', jsonb_build_object('why', cancel.why));
        end if;
        perform pgqueue._sql_job_cancelled(cancel.id);
        if pg_notification_queue_usage() < 0.5 then
          perform pg_notify('pgqueue_worker', v_lease.worker_id::text);
        end if;
        return next;
        return;
      end if;
      delete from pgqueue.cancel_request c where c.job_id = cancel.id;
    elsif state is not null then
      changed := false;
      return next;
      return;
    end if;
  end loop;
  perform pgqueue._refuse('PQ005', format('job %s keeps moving', id), 'Try again.');
end $$;

comment on function pgqueue.cancel is
'Cancels a job. Waiting: it is cancelled at once (state cancelled, changed true). Running: its worker is asked to stop it (state running, changed true the
first time); it ends cancelled unless it finishes first. Final: nothing changes. why: kept with the request, for people. Slices of several batches: a transaction for each, as workers lock several
batches too and go by their order. Errors: PQ002.';
