-- Has groups looked at again when the first start leaves the window, where jobs wait for that: the rate is used up by starts, at least in part. What is admitted and not started yet has its group looked
-- at when it starts. With the time that the admission went by, since which nothing has left the window: so none is forgotten. A look that is due later than that does not count: the
-- period was longer when it was written.
create function pgqueue._groups_wait(settings pgqueue.queue, groups text[], now_ timestamptz) returns void
language plpgsql
as $$
begin
  if (settings).group_rate_limit is null and not (settings).own_groups then
    return;
  end if;
  insert into pgqueue.group_wait (at, queue, group_key)
  select w.first + w.period, (settings).name, w.key
  from (
    select r.key, r.period, (
        select s.started_at from pgqueue.group_start s
        where s.queue = (settings).name and s.group_key = r.key and s.started_at > now_ - r.period order by s.queue, s.group_key, s.started_at limit 1) as first
    from (
      select g.key, coalesce((g.own).rate_period, (settings).group_rate_period, '1 second') as period
      from (
        select k as key, (select o from pgqueue.group_setting o where (settings).own_groups and o.queue = (settings).name and o.group_key = k) as own
        from unnest(groups) k offset 0) g
      where coalesce((g.own).rate_limit, (settings).group_rate_limit) is not null
        and (select b.job_id from pgqueue.blocked b where b.queue = (settings).name and b.group_key = g.key
          order by b.queue, b.group_key, b.priority desc, b.seq limit 1) is not null
        and pgqueue._places(settings, g.key, now_) = 0
      offset 0) r
    offset 0) w
  where w.first is not null
    and (select h.at from pgqueue.group_wait h where h.queue = (settings).name and h.group_key = w.key and h.at <= w.first + w.period
      order by h.queue, h.group_key limit 1) is null;
end $$;
