-- Admits what has arrived in a queue: looks at up to `most` rows of the inbox from this session's cursor on, and once at each group among them. When none
-- of them could be admitted, as their groups are full or another claim is at them just now, it looks at those behind them, a few times.
create function pgqueue._admit(queue text, most integer) returns integer
language plpgsql
as $$
declare
  v_start float8;
  v_cursor record;
  v_sweep boolean;
  v_groups text[];
  v_lined boolean;
  v_first bigint;
  v_last bigint := 0;
  v_rows integer;
  v_admitted integer;
begin
  for v_round in 1..10 loop
    v_start := date_part('epoch', clock_timestamp());
    select * into v_cursor from pgqueue._cursor('arrival', _admit.queue, 0);
    v_sweep := v_start >= v_cursor.expires;
    select array_agg(distinct a.group_key), min(a.seq), max(a.seq), count(*), bool_or(a.traits & 128 <> 0) into v_groups, v_first, v_last, v_rows, v_lined
    from (
      select a.group_key, a.seq, a.traits from pgqueue.arrival a
      where a.queue = _admit.queue and a.seq > v_last and a.seq >= case when v_sweep then 0 else v_cursor.floor end
      order by a.seq limit most) a;
    if v_round = 1 and (v_first is not null or v_sweep) then
      perform pgqueue._set_cursor('arrival', _admit.queue, 0, v_first, case when v_sweep then v_start end, v_cursor.expires);
    end if;
    exit when v_rows = 0;
    v_admitted := (pgqueue._admit_groups(_admit.queue, v_groups, greatest(most / cardinality(v_groups), 1), v_lined)).admitted;
    exit when v_admitted > 0 or v_rows < most;
  end loop;
  return coalesce(v_admitted, 0);
end $$;
