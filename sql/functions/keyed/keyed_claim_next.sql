create function pgqueue.keyed_claim_next(
  queue text,
  concurrency integer default null,
  process_id text default null,
  n integer default 1)
returns table (id bigint, key text, payload text, extra text, pending integer, active text[])
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  v_lines text[];
  v_room record;
  v_take integer;
  v_picked tid[];
  v_leases bigint[];
begin
  perform pgqueue._check_name('queue', queue, 1000);
  perform pgqueue._check_concurrency(concurrency);
  perform pgqueue._check_process(process_id);
  if coalesce(n, 0) not between 1 and 1000 then
    perform pgqueue._refuse('PQ001', format('n is %s', coalesce(n::text, 'null')), 'Give a whole number from 1 to 1000.');
  end if;
  perform pgqueue._keyed_lock(queue);
  select * into v_room from pgqueue._keyed_room(queue, concurrency, null);
  v_take := least(n, v_room.room, v_room.pending);
  if v_take <= 0 or v_room.paused then
    return;
  end if;
  v_lines := array[pgqueue._keyed_line(queue)] || case when process_id is not null then array[pgqueue._keyed_line(queue, process_id)] end;
  v_picked := (pgqueue._pick(array(select l from pgqueue._lanes(v_lines) l), v_take, false)).picked;
  v_picked := array(select r.ctid from pgqueue.ready r where r.ctid = any(v_picked) and r.traits & 1024 <> 0);
  if cardinality(v_picked) = 0 then
    return;
  end if;
  v_leases := (pgqueue._take(0, v_picked, v_lines)).leases;
  perform pgqueue._keyed_claimed(v_leases);
  return query
  select i.job_id, i.key, p.payload, i.extra, v_room.pending - (count(*) over ())::integer, v_room.active || (array_agg(i.key) over (order by i.job_id rows between unbounded preceding and unbounded following))
  from (select j.id from pgqueue.lease l cross join unnest(l.job_ids) j(id) where l.id = any(v_leases) offset 0) e
  join pgqueue.keyed_item i on i.job_id = e.id
  join pgqueue.keyed_payload p on p.job_id = e.id
  order by i.priority desc, i.job_id;
end $$;

comment on function pgqueue.keyed_claim_next is
'Claims the next items of a queue, up to n and to what concurrency (null: the queue''s max_running alone, which holds in any case) leaves free: higher priority first, then the oldest; none when there is none. Callers do not race for one head. Errors: PQ001, PQ005
outside read committed.';
