-- What _starts does for the owners of one lease: notes the starts of those who have a rate. As in _groups_start, with the time of the lease, which is never before the one by which the turn was given.
create function pgqueue._owners_start(lease pgqueue.lease, settings pgqueue.queue) returns void
language plpgsql
as $$
begin
  with started as (
    update pgqueue.turn t set traits = t.traits & ~16384
    where t.job_id = any((lease).job_ids) and t.traits & 16384 <> 0
    returning t.owner),
  grouped as materialized (
    select s.owner, count(*) as jobs,
      case when (settings).own_groups then (
        select g from pgqueue.group_setting g where g.queue = (lease).queue and g.group_key = s.owner) end as own
    from started s group by s.owner)
  insert into pgqueue.group_start (queue, group_key, started_at, jobs, expires_at)
  select (lease).queue, g.owner, (lease).claimed_at, g.jobs, (lease).claimed_at + coalesce((g.own).rate_period, (settings).group_rate_period, '1 second')
  from grouped g;
end $$;
