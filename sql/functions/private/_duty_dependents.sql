-- Upkeep: what parent_look asks for, five thousand of its rows and of the children they name a pass; next_due says that there is more. A parent that is not known to have ended is looked
-- for: has it, its children are told; does it wait, that it has some is written into its row; else it runs, or moves just now, and is looked for again. One without an
-- outcome and without a row has ended in a queue that keeps no history, and counts as succeeded. One whose retry is under way has its outcome locked, and is left alone: that retry
-- may not have seen its children, but the next look does.
create function pgqueue._duty_dependents() returns bigint
language plpgsql
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_start float8 := date_part('epoch', clock_timestamp());
  v_cursor record;
  v_sweep boolean;
  v_picked tid[];
  v_first bigint;
  v_parents bigint[];
  v_states text[];
  v_lows bigint[];
  v_highs bigint[];
  v_asked bigint[];
  v_low bigint;
  v_high bigint;
  v_known bigint[];
  v_ended bigint[];
  v_ends text[];
  v_marked bigint[];
begin
  select * into v_cursor from pgqueue._cursor('parents', '', 0);
  v_sweep := v_start >= v_cursor.expires;
  select array_agg(p.ctid), min(p.seq) into v_picked, v_first
  from (
    select p.ctid, p.seq from pgqueue.parent_look p
    where p.seq >= case when v_sweep then 0 else v_cursor.floor end
    order by p.seq limit 5000 for update skip locked) p;
  if v_first is not null or v_sweep then
    perform pgqueue._set_cursor('parents', '', 0, v_first, case when v_sweep then v_start end, v_cursor.expires);
  end if;
  if v_picked is null then
    return pgqueue._enqueue_late();
  end if;
  with gone as (delete from pgqueue.parent_look p where p.ctid = any(v_picked) returning p.*)
  select array_agg(g.job_id order by g.seq), array_agg(g.state order by g.seq), array_agg(g.low order by g.seq), array_agg(g.high order by g.seq)
  into v_parents, v_states, v_lows, v_highs from gone g;

  select array_agg(a.id order by a.id), min(a.id), max(a.id) into v_asked, v_low, v_high
  from (select distinct e.id from unnest(v_parents, v_states) e(id, state) where e.state is null) a;
  if v_asked is not null then
    v_known := array(select j.id from pgqueue.job j where j.id between v_low and v_high and j.id = any(v_asked));
    select array_agg(o.job_id), array_agg(o.state::text) into v_ended, v_ends
    from (
      select o.job_id, o.state from pgqueue.outcome o
      where o.job_id between v_low and v_high and o.job_id = any(v_asked) for key share skip locked) o;
    v_marked := pgqueue._mark_parents(array(select i from unnest(v_known) i where i not in (select e from unnest(v_ended) e)));
    select v_ended || array_agg(n.id), v_ends || array_agg(n.state) into v_ended, v_ends
    from (
      select a.id, case when b.id is null then 'succeeded' when b.status = 'aborted' then 'cancelled' when b.done_at is not null then b.status end as state
      from unnest(v_asked) a(id) left join (select * from pgqueue.batch b where b.id = any(v_asked)) b on b.id = a.id
      where a.id not in (select k from unnest(v_known) k)) n
    where n.state is not null;
    insert into pgqueue.parent_look (seq, job_id, low, high, parked)
    select nextval('pgqueue.job_id'), e.id, e.low, e.high, true
    from unnest(v_parents, v_states, v_lows, v_highs) e(id, state, low, high)
    where e.state is null and e.id not in (select i from unnest(v_marked) i) and e.id not in (select i from unnest(v_ended) i);
    select array_agg(h.id order by h.ord), array_agg(h.state order by h.ord), array_agg(h.low order by h.ord), array_agg(h.high order by h.ord)
    into v_parents, v_states, v_lows, v_highs
    from (
      select e.id, coalesce(e.state, w.state) as state, e.low, e.high, e.ord
      from unnest(v_parents, v_states, v_lows, v_highs) with ordinality e(id, state, low, high, ord)
      left join unnest(v_ended, v_ends) w(id, state) on w.id = e.id) h
    where h.state is not null;
  end if;
  return cardinality(v_picked) + coalesce(pgqueue._release(v_parents, v_states, v_lows, v_highs, 5000, null, true), 0) + pgqueue._enqueue_late();
end $$;
