-- Admission to one group: freed slots go to whoever is first by priority and turn among the blocked and the newly arrived. Exact because
-- it happens under the group's advisory lock, which is only ever tried: a holder somewhere else will do the same work.
-- Returns the number of jobs that became ready; null when another session is at it.
create function pgqueue._admit_group(queue text, group_key text) returns integer
language plpgsql
as $$
declare
  v_limit integer;
  v_free integer;
  v_jobs bigint[];
  v_priorities smallint[];
  v_attempts smallint[];
  v_traits integer[];
begin
  if not pg_try_advisory_xact_lock(
    pgqueue._lock_class('group'), hashtext(_admit_group.queue || E'\x1f' || _admit_group.group_key)) then
    return null;
  end if;
  select q.group_limit into v_limit from pgqueue.queue q where q.name = _admit_group.queue;
  -- `arrival` keeps what cannot be admitted now out of the way of the next look at the inbox: it moves to `blocked`.
  with arrived as (
    delete from pgqueue.arrival a
    where a.ctid = any(array(
      select a.ctid from pgqueue.arrival a
      where a.queue = _admit_group.queue and a.group_key = _admit_group.group_key
      order by a.seq limit 1000 for update skip locked))
    returning a.seq, a.job_id, a.traits, a.priority, a.attempt, a.queue, a.group_key)
  insert into pgqueue.blocked (seq, job_id, traits, priority, attempt, queue, group_key)
  select a.seq, a.job_id, a.traits, a.priority, a.attempt, a.queue, a.group_key from arrived a where a.job_id is not null;

  if v_limit is not null then
    select v_limit - count(*) into v_free
    from pgqueue.slot s where s.queue = _admit_group.queue and s.group_key = _admit_group.group_key;
    if v_free <= 0 then
      return 0;
    end if;
  end if;
  with admitted as (
    delete from pgqueue.blocked b
    where b.ctid = any(array(
      select b.ctid from pgqueue.blocked b
      where b.queue = _admit_group.queue and b.group_key = _admit_group.group_key
      order by b.priority desc, b.seq limit coalesce(v_free, 1000) for update skip locked))
    returning b.job_id, b.priority, b.attempt, b.traits, b.seq)
  select array_agg(a.job_id), array_agg(a.priority), array_agg(a.attempt), array_agg(a.traits)
  into v_jobs, v_priorities, v_attempts, v_traits
  from (select * from admitted order by priority desc, seq) a;
  if v_jobs is null then
    return 0;
  end if;
  insert into pgqueue.slot (job_id, queue, group_key)
  select j, _admit_group.queue, _admit_group.group_key from unnest(v_jobs) j;
  perform pgqueue._enter(v_jobs, array_fill(_admit_group.queue, array[cardinality(v_jobs)]), v_priorities, v_attempts, v_traits, true);
  return cardinality(v_jobs);
end $$;
