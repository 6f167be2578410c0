-- What `why` says of a queued job that does not stand where the others do: in the line of its owner, or alone after a crash. Null for the others.
create function pgqueue._why_apart(job pgqueue.job_info, name text) returns text
language plpgsql
as $$
declare
  v_ahead bigint;
  v_running bigint;
  v_until timestamptz;
begin
  if exists (select from pgqueue.line l where l.job_id = (job).id) then
    select t.until into v_until from pgqueue.owner_turns t where t.queue = (job).queue and t.owner = (job).group_key;
    if v_until > pgqueue._now() then
      return format('%s waits for its turn: owner %s of queue %s starts at most %s in %s, and has room again at %s.', name, (job).group_key, (job).queue,
        coalesce((select g.rate_limit from pgqueue.group_setting g where g.queue = (job).queue and g.group_key = (job).group_key),
          (select q.group_rate_limit from pgqueue.queue q where q.name = (job).queue)),
        pgqueue._group_period((job).queue, (job).group_key), to_char(v_until, 'YYYY-MM-DD HH24:MI:SS.MS OF'));
    end if;
    v_ahead := (
      select count(*) from pgqueue.line l, pgqueue.line o
      where l.job_id = (job).id and o.queue = l.queue and o.owner = l.owner and (o.priority > l.priority or o.priority = l.priority and o.job_id < l.job_id));
    v_running := (select count(*) from pgqueue.turn t where t.queue = (job).queue and t.owner = (job).group_key);
    return format('%s stands in line in queue %s, where owners take turns: %s of its owner %s in line before it, %s of that owner %s.', name, (job).queue, v_ahead,
      case v_ahead when 1 then 'is' else 'are' end, v_running, case v_running when 1 then 'runs' else 'run' end);
  elsif (job).crashes > 0 then
    return format('%s was in %s crashes and is given out alone, to a worker that holds no other such job.', name, (job).crashes);
  end if;
  return null;
end $$;
