-- Takes plain jobs from where they wait, many at once, and waits for nobody: what another session has locked comes back as place 'locked' and stays. Those with one of `not_traits`, and those that
-- wait elsewhere, are left for the caller to do one by one. In the order of their ids.
create function pgqueue._withdraw_many(jobs bigint[], not_traits integer)
returns table (job_id bigint, place text, queue text, priority smallint, attempt smallint, traits integer, run_at timestamptz)
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
begin
  return query
  with first_turns as (
    delete from pgqueue.ready r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (select j.id, j.queue, j.priority from pgqueue.job j where j.id = i.id offset 0) j
      cross join lateral (
        select r.ctid from pgqueue.ready r
        where r.queue = j.queue and r.priority = j.priority and r.seq = j.id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits),
  later_turns as (
    delete from pgqueue.ready r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (
        select r.ctid from pgqueue.ready r where r.job_id = i.id and r.seq <> r.job_id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits),
  due as (
    delete from pgqueue.scheduled r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (select r.ctid from pgqueue.scheduled r where r.job_id = i.id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits, r.run_at),
  arrived as (
    delete from pgqueue.arrival r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (select r.ctid from pgqueue.arrival r where r.job_id = i.id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits),
  standing as (
    delete from pgqueue.blocked r
    where r.ctid = any(array(
      select r.ctid
      from unnest(jobs) i(id)
      cross join lateral (select r.ctid from pgqueue.blocked r where r.job_id = i.id and r.traits & not_traits = 0 for update skip locked) r))
    returning r.job_id, r.queue, r.priority, r.attempt, r.traits)
  select w.job_id, w.place, w.queue, w.priority, w.attempt, w.traits, w.run_at
  from (
    select w.job_id, 'ready' as place, w.queue, w.priority, w.attempt, w.traits, null::timestamptz as run_at from first_turns w
    union all select w.job_id, 'ready', w.queue, w.priority, w.attempt, w.traits, null from later_turns w
    union all select w.job_id, 'scheduled', w.queue, w.priority, w.attempt, w.traits, w.run_at from due w
    union all select w.job_id, 'arrival', w.queue, w.priority, w.attempt, w.traits, null from arrived w
    union all select w.job_id, 'blocked', w.queue, w.priority, w.attempt, w.traits, null from standing w) w
  order by w.job_id;
  return query
  select i.id, 'locked', null::text, null::smallint, null::smallint, null::integer, null::timestamptz
  from unnest(jobs) i(id)
  where (select r.place from pgqueue._in_ready(i.id) r where r.traits & not_traits = 0) is not null
    or (select r.job_id from pgqueue.scheduled r where r.job_id = i.id and r.traits & not_traits = 0) is not null
    or (select r.job_id from pgqueue.arrival r where r.job_id = i.id and r.traits & not_traits = 0) is not null
    or (select r.job_id from pgqueue.blocked r where r.job_id = i.id and r.traits & not_traits = 0) is not null;
end $$;
