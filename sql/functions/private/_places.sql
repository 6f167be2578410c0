-- How many more jobs of a group may be admitted, in a queue where more than slots is counted. Stable: it sees what the statement sees that asks, under the group's lock, so that each job is either admitted and
-- not started, or started and noted.
--
-- The rate is exact though starts are noted without that lock. A job is admitted only while the starts of the window before, and those admitted that have not started, are fewer than the limit.
-- Take any window of that length, and of the starts in it the job that was admitted last: at its admission each of the others was either not started yet, or had started inside of the window before. So
-- they were fewer than the limit, and with it there are no more than that. Whoever starts twice is admitted twice (_go_back).
create function pgqueue._places(settings pgqueue.queue, key text, now_ timestamptz) returns integer
language plpgsql stable
as $$
declare
  v_own pgqueue.group_setting;
  v_limit integer;
  v_places bigint := 2147483647;
begin
  if (settings).own_groups then
    select * into v_own from pgqueue.group_setting g where g.queue = (settings).name and g.group_key = key;
  end if;
  v_limit := coalesce(v_own.group_limit, (settings).group_limit);
  if v_limit is not null then
    v_places := v_limit - (
      select count(*) from (select from pgqueue.slot s where s.queue = (settings).name and s.group_key = key and s.state <> 4 limit v_limit) s);
  end if;
  if (settings).fair then
    v_limit := coalesce(v_own.weight, 1);
    v_places := least(v_places, v_limit - (
      select count(*) from (select from pgqueue.slot s where s.queue = (settings).name and s.group_key = key and s.state = 0 limit v_limit) s));
  end if;
  v_limit := coalesce(v_own.rate_limit, (settings).group_rate_limit);
  if v_limit is not null and v_places > 0 then
    v_places := least(v_places, v_limit - (
      select count(*) from (select from pgqueue.slot s where s.queue = (settings).name and s.group_key = key and s.state = 0 limit v_limit) s) - (
      select coalesce(sum(s.jobs), 0) from pgqueue.group_start s
      where s.queue = (settings).name and s.group_key = key and s.started_at > now_ - coalesce(v_own.rate_period, (settings).group_rate_period, '1 second')));
  end if;
  return greatest(v_places, 0);
end $$;
