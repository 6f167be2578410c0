-- Upkeep: counts what has ended into metric, stretch by stretch of finished_at, each once: the mark moves in the transaction that counts. The last five seconds are left for the
-- next pass, so that settles that are about to commit are in. One that commits later than that (a cancel inside a user's long transaction) is in no count: waiting for such a transaction would
-- stop the counts of all, and only a figure is wrong by one. Nor is what ends while a clock that was set back catches up; one set back by more than an hour begins anew.
--
-- A pass counts about 100,000 outcomes, or for a second: a stretch of ten seconds, grown while little is found and shrunk when it holds too many, until the present is reached. It begins when there are
-- ten seconds to count, as every look reads the pages that the index does not know yet.
create function pgqueue._duty_metrics() returns bigint
language plpgsql
as $$
declare
  v_most constant bigint := 100000;
  v_shortest constant interval := interval '1 second';
  v_now timestamptz := pgqueue._now();
  v_late timestamptz := clock_timestamp() + interval '1 second';
  v_end timestamptz := v_now - interval '5 seconds';
  v_mark timestamptz;
  v_until timestamptz;
  v_length interval := interval '10 seconds';
  v_counted bigint;
  v_done bigint := 0;
begin
  select m.counted_until into v_mark from pgqueue.metric_mark m for update;
  if v_mark > v_now + interval '1 hour' then
    v_mark := v_end;
  elsif v_mark + v_length > v_end then
    return 0;
  end if;
  loop
    v_until := least(v_mark + v_length, v_end);
    v_counted := pgqueue._count_outcomes(v_mark, v_until, case when v_until - v_mark > v_shortest then v_most else 9223372036854775806 end);
    if v_counted is null then
      v_length := greatest((v_until - v_mark) / 8, v_shortest);
    else
      v_done := v_done + v_counted;
      v_mark := v_until;
      exit when v_mark >= v_end or v_done >= v_most or clock_timestamp() >= v_late;
      if v_counted < v_most / 8 then
        v_length := least(v_length * 8, interval '30 days');
      end if;
    end if;
  end loop;
  update pgqueue.metric_mark m set counted_until = v_mark;
  delete from pgqueue.metric m
  where m.ctid = any(array(
    select o.ctid from pgqueue.metric o
    where o.minute < v_now - (select c.metric_retention from pgqueue.config c) order by o.minute limit 5000));
  return v_done;
end $$;
