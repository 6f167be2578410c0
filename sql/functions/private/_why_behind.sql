-- What `why` says of a queued job that nothing holds back but those before it. They are counted by two walks along the index; as one join it depends on
-- statistics whether the backlog is joined with itself.
create function pgqueue._why_behind(job pgqueue.job_info, name text, running bigint, workers bigint) returns text
language plpgsql
as $$
declare
  v_place record;
  v_ahead bigint;
begin
  select * into v_place from pgqueue._in_ready((job).id);
  v_ahead := (select count(*) from pgqueue.ready o where o.queue = v_place.queue and o.priority > v_place.priority)
    + (select count(*) from pgqueue.ready o where o.queue = v_place.queue and o.priority = v_place.priority and o.seq < v_place.seq);
  if (job).kind = 'keyed.item' then
    return (
      select format('Item %s is pending: %s before it in keyed queue %s, of which %s active.', (job).id,
        case v_ahead when 0 then 'nothing waits' when 1 then 'one waits' else v_ahead || ' wait' end, i.queue,
        case running when 0 then 'nothing is' when 1 then 'one is' else running || ' are' end)
      from pgqueue.keyed_item i where i.job_id = (job).id);
  end if;
  return format('%s is queued: %s ahead of it in queue %s, which %s.', name,
    case v_ahead when 0 then 'nothing is' when 1 then 'one job is' else v_ahead || ' jobs are' end, (job).queue,
    case workers when 1 then 'one worker serves' else workers || ' workers serve' end);
end $$;
