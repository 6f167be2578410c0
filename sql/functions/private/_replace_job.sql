-- An enqueue with on_duplicate replace or debounce whose key another job holds. Returns the job that has the key then: the holder, which waits and has got the new
-- arguments and headers, and with debounce the new time; or the new job, where the holder runs or has ended; null when the key has gone to somebody else meanwhile: the caller looks
-- again. A key held for a period is not taken from a job that runs or has ended: that is what the period is for.
--
-- Locks: the row of the key first, where enqueues that would replace the same job meet, so that none takes the other for a claim; then the job's own where it waits. A claim is
-- waited for, which is short. Whoever has the job's own row never waits for the key's: _finish and _give_up_keys skip it, _retake_key gives up. So these locks close no circle,
-- and until the transaction ends only this one job waits for it.
create function pgqueue._replace_job(new_ pgqueue.new_job, holder bigint, until timestamptz, now_ timestamptz) returns bigint
language plpgsql
as $$
declare
  v_until timestamptz;
  v_kind text;
  v_place record;
  v_was record;
  v_state text;
begin
  select j.kind into v_kind from pgqueue.job j where j.id = holder;
  if v_kind <> (new_).kind then
    perform pgqueue._refuse('PQ005', format('job %s holds the unique key %L and is of kind %s, not %s', holder, (new_).unique_key, v_kind, (new_).kind),
      'Arguments are replaced by those of the same kind: give jobs of another kind another key.');
  end if;
  select k.until into v_until from pgqueue.job_key k
  where k.queue = (new_).queue and k.unique_key = (new_).unique_key and k.job_id = holder for update;
  if not found then
    return null;
  end if;

  for v_look in 1..100 loop
    select h.place into v_place from pgqueue._hold_place(holder) h;
    exit when v_place.place is not null;
    select case when o.job_id is not null then o.state::text when (pgqueue._lease_of(holder)).id is not null then 'running' when j.id is null then 'gone' end
    into v_state
    from (select) one left join pgqueue.outcome o on o.job_id = holder left join pgqueue.job j on j.id = holder;
    continue when v_state is null;
    if v_until > now_ then
      return holder;
    end if;
    update pgqueue.job_key k set job_id = (new_).id, until = _replace_job.until
    where k.queue = (new_).queue and k.unique_key = (new_).unique_key and k.job_id = holder;
    return (new_).id;
  end loop;
  if v_place.place is null then
    perform pgqueue._refuse('PQ005', format('job %s keeps moving', holder), 'Try again.');
  end if;

  update pgqueue.job j set args = (new_).args, headers = (new_).headers where j.id = holder;
  if (new_).on_duplicate <> 'debounce' then
    return holder;
  end if;
  if v_until is not null and until is not null then
    -- Never earlier: a call that had to wait for the job it found may be older than that.
    update pgqueue.job_key k set until = greatest(k.until, _replace_job.until) where k.queue = (new_).queue and k.unique_key = (new_).unique_key;
  end if;
  if v_place.place = 'dependent' then
    update pgqueue.dependent w set run_at = case when (new_).due > now_ then (new_).due end where w.job_id = holder;
  elsif v_place.place = 'scheduled' and (new_).due > now_ then
    -- Another row, not this one with another time: see _hold_place.
    select * into v_was from pgqueue._withdraw(holder);
    perform pgqueue._schedule(array[holder], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], array[(new_).due]);
  elsif v_place.place = 'scheduled' or (new_).due > now_ then
    select * into v_was from pgqueue._withdraw(holder);
    if v_place.place = 'scheduled' then
      perform pgqueue._enter(array[holder], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], false);
    else
      if v_was.traits & 2 <> 0 then
        -- The slot goes by way of the inbox: to hand it on, as _free_slots does, takes the group's lock, until the end of this transaction.
        with gone as (delete from pgqueue.slot s where s.job_id = holder returning s.queue, s.group_key)
        insert into pgqueue.arrival (seq, traits, priority, attempt, queue, group_key)
        select nextval('pgqueue.job_id'), 0, 0, 0, g.queue, g.group_key from gone g;
      end if;
      perform pgqueue._schedule(array[holder], array[v_was.queue], array[v_was.priority], array[v_was.attempt], array[v_was.traits], array[(new_).due]);
    end if;
  end if;
  return holder;
end $$;
