-- Admits what has arrived in a queue: looks at up to `most` rows of the inbox from this session's cursor on, and once at each group among them.
-- Groups are taken in order, though their locks are only tried, so that two admitters do not keep taking turns in each other's way.
create function pgqueue._admit(queue text, most integer) returns integer
language plpgsql
as $$
declare
  v_start float8 := extract(epoch from clock_timestamp());
  v_cursor record;
  v_sweep boolean;
  v_groups text[];
  v_first bigint;
  v_done integer;
begin
  select * into v_cursor from pgqueue._cursor('arrival', _admit.queue, 0);
  v_sweep := v_start >= v_cursor.expires;
  select array_agg(distinct a.group_key), min(a.seq) into v_groups, v_first
  from (
    select a.group_key, a.seq from pgqueue.arrival a
    where a.queue = _admit.queue and a.seq >= case when v_sweep then 0 else v_cursor.floor end
    order by a.seq limit most) a;
  if v_first is not null or v_sweep then
    perform pgqueue._set_cursor('arrival', _admit.queue, 0, v_first, case when v_sweep then v_start end, v_cursor.expires);
  end if;
  select coalesce(sum(pgqueue._admit_group(_admit.queue, g)), 0) into v_done
  from (select g from unnest(v_groups) g order by g) g;
  return v_done;
end $$;
