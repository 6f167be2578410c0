-- Frozen from the catalogue by alembic/freeze.py.

drop routine if exists
  pgqueue._add_block(low bigint, high bigint),
  pgqueue._admit(queue text, most integer),
  pgqueue._admit_groups(queue text, groups text[], per integer, OUT admitted integer, OUT passed text[]),
  pgqueue._announce(jobs bigint[]),
  pgqueue._any_live(low bigint, high bigint),
  pgqueue._backoff(spec jsonb, attempt integer),
  pgqueue._check_backoff(backoff jsonb),
  pgqueue._check_claim(worker bigint, queues text[], n integer),
  pgqueue._check_interval(what text, given interval, above_zero boolean),
  pgqueue._check_job(kind text, args jsonb, queue text, priority integer, run_at timestamp with time zone, delay interval, unique_key text, group_key text, max_attempts integer, timeout interval, expires_in interval, heartbeat interval, backoff jsonb, headers jsonb),
  pgqueue._check_name(what text, name text, longest integer),
  pgqueue._check_queues(queues text[]),
  pgqueue._check_settle(leases bigint[], jobs bigint[], outcomes text[], results jsonb[], errors jsonb[], delays interval[]),
  pgqueue._check_time(what text, given timestamp with time zone),
  pgqueue._check_worker(worker bigint),
  pgqueue._claim_suspect(worker bigint, queues text[]),
  pgqueue._cursor(purpose text, queue text, priority integer, OUT floor bigint, OUT expires double precision),
  pgqueue._cursor_name(purpose text, queue text, priority integer),
  pgqueue._cursor_owner(purpose text, queue text, priority integer),
  pgqueue._cursor_text(purpose text, queue text, priority integer, seen bigint, expires double precision),
  pgqueue._drop_expired(leases bigint[]),
  pgqueue._due_cursor(purpose text, OUT floor timestamp with time zone, OUT sweep_started double precision, OUT expires double precision),
  pgqueue._duty_admit(),
  pgqueue._duty_blocks(),
  pgqueue._duty_expire(),
  pgqueue._duty_overdue(),
  pgqueue._duty_promote(),
  pgqueue._duty_rescue(),
  pgqueue._duty_retention(),
  pgqueue._duty_tidy(),
  pgqueue._enter(jobs bigint[], queues text[], priorities smallint[], attempts smallint[], traits integer[], admitted boolean),
  pgqueue._expiry_of(cursor text, owner text),
  pgqueue._finish(jobs bigint[], states text[], reasons text[], attempts smallint[], traits integer[], results jsonb[], worker bigint, claimed_at timestamp with time zone, forget smallint),
  pgqueue._floor_of(cursor text, owner text),
  pgqueue._forget(history text),
  pgqueue._free_slots(jobs bigint[]),
  pgqueue._give_back(lease pgqueue.lease),
  pgqueue._in_ready(job bigint),
  pgqueue._interval(given jsonb),
  pgqueue._job_if_any(job bigint),
  pgqueue._lane_known(queue text, priority integer),
  pgqueue._lanes(queues text[]),
  pgqueue._lanes_ranked(queues text[]),
  pgqueue._lease_number(),
  pgqueue._lease_of(job bigint),
  pgqueue._leased(leases bigint[]),
  pgqueue._lock_class(purpose text),
  pgqueue._locks_held(purpose text),
  pgqueue._lose_worker(worker bigint),
  pgqueue._new_job(job jsonb, now_ timestamp with time zone),
  pgqueue._nobody_sleeps(queue text),
  pgqueue._nobody_waits(),
  pgqueue._now(),
  pgqueue._open_lane(queue text, priority smallint, grouped boolean),
  pgqueue._pick(lanes pgqueue.lane_in_view[], n integer, urgent boolean),
  pgqueue._pick_limited(lanes pgqueue.lane_in_view[], n integer, urgent boolean),
  pgqueue._pick_wide(queues text[], n integer, urgent boolean),
  pgqueue._queue_settings(name text),
  pgqueue._refuse(code text, message text, hint text),
  pgqueue._rescue_jobs(lease pgqueue.lease, jobs bigint[], attempts smallint[], traits integer[], blamed smallint),
  pgqueue._room(queue text, max_running integer),
  pgqueue._schedule(jobs bigint[], queues text[], priorities smallint[], attempts smallint[], traits integer[], due timestamp with time zone[]),
  pgqueue._set_cursor(purpose text, queue text, priority integer, seen bigint, sweep_started double precision, expires double precision),
  pgqueue._set_due_cursor(purpose text, seen timestamp with time zone, until timestamp with time zone, sweep_started double precision, expires double precision),
  pgqueue._settings_in_view(queue text),
  pgqueue._settle_unsuccessful(lease pgqueue.lease, jobs bigint[], outcomes text[], attempts smallint[], traits integer[], errors jsonb[], delays interval[]),
  pgqueue._standing(job bigint),
  pgqueue._state(job bigint),
  pgqueue._sweep_again(started double precision),
  pgqueue._take(worker bigint, picked tid[]),
  pgqueue._take_keys(jobs pgqueue.new_job[]),
  pgqueue._thin(low bigint, high bigint),
  pgqueue._traits(unique_key text, group_key text, timeout interval, heartbeat interval, expires_at timestamp with time zone),
  pgqueue._unlease(lease pgqueue.lease, jobs bigint[]),
  pgqueue._wake(queue text),
  pgqueue._withdraw(job bigint, OUT place text, OUT queue text, OUT priority smallint, OUT attempt smallint, OUT traits integer),
  pgqueue._withdraw_or_refuse(job bigint, OUT place text, OUT queue text, OUT priority smallint, OUT attempt smallint, OUT traits integer),
  pgqueue.attempts(id bigint),
  pgqueue.cancel(id bigint, why text),
  pgqueue.claim(worker bigint, queues text[], n integer, urgent boolean),
  pgqueue.configure(settings jsonb),
  pgqueue.configure_queue(queue text, settings jsonb),
  pgqueue.deregister_worker(worker bigint),
  pgqueue.enqueue(kind text, args jsonb, queue text, priority integer, run_at timestamp with time zone, delay interval, unique_key text, group_key text, max_attempts integer, timeout interval, expires_in interval, heartbeat interval, backoff jsonb, headers jsonb),
  pgqueue.enqueue_each(kind text, args jsonb[], queue text, priority integer, run_at timestamp with time zone, delay interval, unique_keys text[], group_keys text[], max_attempts integer, timeout interval, expires_in interval, heartbeat interval, backoff jsonb, headers jsonb),
  pgqueue.enqueue_many(jobs jsonb),
  pgqueue.health(),
  pgqueue.job(id bigint),
  pgqueue.job_heartbeat(lease bigint, job bigint, progress jsonb),
  pgqueue.jobs(queue text, kind text, state text, before bigint, max integer),
  pgqueue.maintain(duties text[]),
  pgqueue.next_due(),
  pgqueue.pause_queue(queue text),
  pgqueue.queues(),
  pgqueue.register_worker(name text, queues text[], concurrency integer, info jsonb),
  pgqueue.reschedule(id bigint, run_at timestamp with time zone),
  pgqueue.result(id bigint),
  pgqueue.resume_queue(queue text),
  pgqueue.retry(id bigint),
  pgqueue.set_priority(id bigint, priority integer),
  pgqueue.settle(leases bigint[], jobs bigint[], outcomes text[], results jsonb[], errors jsonb[], delays interval[]),
  pgqueue.settle_and_claim(worker bigint, leases bigint[], jobs bigint[], outcomes text[], results jsonb[], errors jsonb[], delays interval[], queues text[], n integer, urgent boolean),
  pgqueue.stop_leading(),
  pgqueue.try_lead(),
  pgqueue.unwatch(),
  pgqueue.version(),
  pgqueue.wait(IN id bigint, IN timeout interval, INOUT state text, INOUT reason text, INOUT result jsonb),
  pgqueue.watch(jobs bigint[], lasting interval, listening boolean),
  pgqueue.why(id bigint),
  pgqueue.worker_heartbeat(worker bigint, leases bigint[]),
  pgqueue.worker_sleep(queues text[]),
  pgqueue.worker_wake(),
  pgqueue.workers();

drop table if exists
  pgqueue.arrival,
  pgqueue.attempt_error,
  pgqueue.block,
  pgqueue.blocked,
  pgqueue.cancel_request,
  pgqueue.changed_priority,
  pgqueue.config,
  pgqueue.crash,
  pgqueue.deadline,
  pgqueue.job,
  pgqueue.job_key,
  pgqueue.lane,
  pgqueue.lease,
  pgqueue.limiter,
  pgqueue.outcome,
  pgqueue.progress,
  pgqueue.queue,
  pgqueue.ready,
  pgqueue.scheduled,
  pgqueue.slot,
  pgqueue.suspect,
  pgqueue.waiter,
  pgqueue.worker;

drop sequence if exists
  pgqueue.job_id,
  pgqueue.lease_id;

drop type if exists
  pgqueue.final_state,
  pgqueue.job_info,
  pgqueue.job_line,
  pgqueue.lane_in_view,
  pgqueue.new_job;

-- Roles belong to the whole cluster: one that anything else depends on (another installation, a user's grants) stays.
do $$
declare
  v_role text;
begin
  foreach v_role in array array['pgqueue_operator', 'pgqueue_producer', 'pgqueue_reader', 'pgqueue_worker'] loop
    continue when to_regrole(v_role) is null;
    begin
      if to_regnamespace('pgqueue') is not null then
        execute format('revoke all on schema pgqueue from %I', v_role);
      end if;
      execute format('drop role %I', v_role);
    exception
      when dependent_objects_still_exist then
        raise notice 'role % is kept: other objects depend on it', v_role;
      when insufficient_privilege then
        raise notice 'role % is kept: this user may not drop it', v_role;
    end;
  end loop;
end $$;
