-- A page of groups, found by steps along the indexes from one key to the next: groups are many, and some are long.
create function pgqueue.groups(queue text, after text default '', max integer default 100)
returns table (
  group_key text,
  waiting bigint,
  running bigint,
  weight integer,
  blocked_by bigint,
  settings jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
#variable_conflict use_column
declare
  v_key text collate "C" := coalesce(after, '');
begin
  perform pgqueue._check_name('queue', queue, 200);
  if coalesce(max, 0) not between 1 and 10000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 10000.');
  end if;
  for v_nth in 1..max loop
    v_key := least(
      (select a.group_key from pgqueue.arrival a where a.queue = groups.queue and a.group_key > v_key and a.job_id is not null
        order by a.queue, a.group_key, a.seq limit 1),
      (select b.group_key from pgqueue.blocked b where b.queue = groups.queue and b.group_key > v_key order by b.queue, b.group_key limit 1),
      (select s.group_key from pgqueue.slot s where s.queue = groups.queue and s.group_key > v_key order by s.queue, s.group_key limit 1),
      (select l.owner from pgqueue.line l where l.queue = groups.queue and l.owner > v_key order by l.queue, l.owner limit 1),
      (select t.owner from pgqueue.turn t where t.queue = groups.queue and t.owner > v_key order by t.queue, t.owner limit 1),
      (select g.group_key from pgqueue.group_setting g where g.queue = groups.queue and g.group_key > v_key order by g.queue, g.group_key limit 1));
    exit when v_key is null;
    group_key := v_key;
    select count(*) filter (where p.waits), count(*) filter (where not p.waits) into waiting, running
    from (
      select (select r.place from pgqueue._in_ready(s.job_id) r) is not null
        or (select u.job_id from pgqueue.suspect u where u.job_id = s.job_id) is not null as waits
      from pgqueue.slot s where s.queue = groups.queue and s.group_key = v_key and s.state in (0, 1) offset 0) p;
    waiting := waiting
      + (select count(*) from pgqueue.arrival a where a.queue = groups.queue and a.group_key = v_key and a.job_id is not null)
      + (select count(*) from pgqueue.blocked b where b.queue = groups.queue and b.group_key = v_key)
      + (select count(*) from pgqueue.line l where l.queue = groups.queue and l.owner = v_key);
    running := running + (select count(*) from pgqueue.turn t where t.queue = groups.queue and t.owner = v_key);
    settings := pgqueue._group_settings(groups.queue, v_key);
    weight := coalesce((settings ->> 'weight')::integer, 1);
    blocked_by := (select min(s.job_id) from pgqueue.slot s where s.queue = groups.queue and s.group_key = v_key and s.state = 3);
    return next;
  end loop;
end $$;

comment on function pgqueue.groups is
'The groups of a queue that have jobs or settings, by name: how many of their jobs wait (not for a time) and run, their weight, the failed job that blocks each, if
one does, and settings of their own. Next page: after = last group_key. Errors: PQ001.';
