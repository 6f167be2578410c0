-- Writes into the rows of waiting jobs that others wait for their end. Returns those that have it written, now or before; one that is locked, or waits nowhere, has not. What has just moved
-- is not followed. A turn does not change: the row stays where it is.
create function pgqueue._mark_parents(jobs bigint[]) returns bigint[]
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set enable_nestloop = on
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_low bigint := (select min(i) from unnest(jobs) i);
  v_high bigint := (select max(i) from unnest(jobs) i);
  v_marked bigint[];
  v_left bigint[] := jobs;
  v_place text;
begin
  if v_low is null then
    return null;
  end if;
  with picked as materialized (
    select r.ctid from (
      select j.id, j.queue, j.priority from pgqueue.job j where j.id between v_low and v_high and j.id = any(jobs)) j
    cross join lateral (
      select r.ctid from pgqueue.ready r where r.queue = j.queue and r.priority = j.priority and r.seq = j.id and r.seq = r.job_id for update skip locked) r),
  marked as (
    update pgqueue.ready r set traits = r.traits | 4096 where r.ctid = any(array(select p.ctid from picked p)) returning r.job_id)
  select array_agg(m.job_id) into v_marked from marked m;
  if cardinality(v_marked) = cardinality(jobs) then
    return v_marked;
  end if;
  v_left := array(select i from unnest(jobs) i where i not in (select m from unnest(v_marked) m));
  with picked as materialized (
    select r.ctid from pgqueue.ready r where r.job_id = any(v_left) and r.seq <> r.job_id for update skip locked),
  marked as (
    update pgqueue.ready r set traits = r.traits | 4096 where r.ctid = any(array(select p.ctid from picked p)) returning r.job_id)
  select v_marked || array_agg(m.job_id) into v_marked from marked m;
  foreach v_place in array array['scheduled', 'dependent', 'arrival', 'blocked', 'suspect', 'line', 'held'] loop
    exit when cardinality(v_marked) = cardinality(jobs);
    v_left := array(select i from unnest(jobs) i where i not in (select m from unnest(v_marked) m));
    execute format(
      'with picked as materialized (select w.ctid from pgqueue.%1$I w where w.job_id = any($1) for update skip locked),
      marked as (update pgqueue.%1$I w set traits = w.traits | 4096 where w.ctid = any(array(select p.ctid from picked p)) returning w.job_id)
      select $2 || array_agg(m.job_id) from marked m', v_place) using v_left, v_marked into v_marked;
  end loop;
  return v_marked;
end $$;
