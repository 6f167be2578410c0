-- What _starts does for the groups of one lease.
create function pgqueue._groups_start(lease pgqueue.lease, settings pgqueue.queue) returns void
language plpgsql
as $$
declare
  v_groups text[];
begin
  if 0 <> any(select t & 128 from unnest((lease).traits) t) then
    perform pgqueue._owners_start(lease, settings);
  end if;
  with started as (
    update pgqueue.slot s set state = 1
    where s.job_id = any((lease).job_ids)
    returning s.job_id, s.group_key),
  grouped as materialized (
    select s.group_key as key, count(*) as jobs, min(e.ord) as first,
      case when (settings).own_groups then (
        select g from pgqueue.group_setting g where g.queue = (lease).queue and g.group_key = s.group_key) end as own
    from started s join unnest((lease).job_ids) with ordinality e(id, ord) on e.id = s.job_id group by s.group_key),
  noted as (
    insert into pgqueue.group_start (queue, group_key, started_at, jobs, expires_at)
    select (lease).queue, g.key, (lease).claimed_at, g.jobs, (lease).claimed_at + coalesce((g.own).rate_period, (settings).group_rate_period, '1 second')
    from grouped g where coalesce((g.own).rate_limit, (settings).group_rate_limit) is not null)
  select array_agg(g.key order by g.first) into v_groups from grouped g;
  if v_groups is not null then
    perform pgqueue._admit_or_ask((lease).queue, v_groups, 2 * cardinality((lease).job_ids) + 1);
  end if;
end $$;
