-- Ids for jobs(): live jobs in one state, newest first, from the places where such stand, each walked down by id. In ready, first turns stand in their lanes, in
-- the order of their ids; the newest `most` are in the `most` lanes whose first is the newest. Later turns have an index by id.
create function pgqueue._page_of_live(queue text, kind text, state text, before bigint, far integer, most integer) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
begin
  if state = 'scheduled' then
    return array(
      select w.job_id
      from (select w.job_id, w.queue from pgqueue.scheduled w where w.job_id < before order by w.job_id desc limit far) w
      where (_page_of_live.queue is null or w.queue = _page_of_live.queue)
        and (_page_of_live.kind is null or (select j.kind from pgqueue.job j where j.id = w.job_id) = _page_of_live.kind)
      order by w.job_id desc limit most);
  elsif state = 'held' then
    return array(
      select w.job_id
      from (
        (select w.job_id, w.queue from pgqueue.blocked w where w.job_id < before order by w.job_id desc limit far)
        union all
        (select w.job_id, w.queue from pgqueue.held w where w.job_id < before order by w.job_id desc limit far)
        union all
        (select w.job_id, w.queue from pgqueue.dependent w where w.job_id < before order by w.job_id desc limit far)) w
      where (_page_of_live.queue is null or w.queue = _page_of_live.queue)
        and (_page_of_live.kind is null or (select j.kind from pgqueue.job j where j.id = w.job_id) = _page_of_live.kind)
      order by w.job_id desc limit most);
  elsif state = 'running' then
    return array(
      select e.id
      from pgqueue.lease l cross join unnest(l.job_ids) e(id)
      where e.id < before and (_page_of_live.queue is null or l.queue = _page_of_live.queue)
        and (_page_of_live.kind is null or (select j.kind from pgqueue.job j where j.id = e.id) = _page_of_live.kind)
      order by e.id desc limit most);
  end if;
  return array(
    with lane as materialized (
      select h.queue, h.priority
      from (
        select l.queue, l.priority, (
          select w.seq from pgqueue.ready w
          where w.queue = l.queue and w.priority = l.priority and w.seq < before and w.seq = w.job_id order by w.seq desc limit 1) as newest
        from (select distinct l.queue, l.priority from pgqueue.lane l where _page_of_live.queue is null or l.queue = _page_of_live.queue) l) h
      where h.newest is not null
      order by h.newest desc limit case when _page_of_live.kind is null then most end),
    place as (
      select w.job_id
      from lane l
      cross join lateral (
        select w.job_id from pgqueue.ready w
        where w.queue = l.queue and w.priority = l.priority and w.seq < before and w.seq = w.job_id
        order by w.seq desc limit case when _page_of_live.kind is null then most else far end) w
      union all
      (select w.job_id
        from (select w.job_id, w.queue from pgqueue.ready w where w.job_id < before and w.seq <> w.job_id order by w.job_id desc limit far) w
        where _page_of_live.queue is null or w.queue = _page_of_live.queue
        limit case when _page_of_live.kind is null then most end)
      union all
      (select w.job_id
        from (select w.job_id, w.queue from pgqueue.arrival w where w.job_id < before order by w.job_id desc limit far) w
        where _page_of_live.queue is null or w.queue = _page_of_live.queue
        limit case when _page_of_live.kind is null then most end)
      union all
      (select w.job_id
        from (select w.job_id, w.queue from pgqueue.suspect w where w.job_id < before order by w.job_id desc limit far) w
        where _page_of_live.queue is null or w.queue = _page_of_live.queue
        limit case when _page_of_live.kind is null then most end)
      union all
      (select w.job_id
        from (select w.job_id, w.queue from pgqueue.line w where w.job_id < before order by w.job_id desc limit far) w
        where _page_of_live.queue is null or w.queue = _page_of_live.queue
        limit case when _page_of_live.kind is null then most end))
    select p.job_id
    from (select p.job_id from place p order by p.job_id desc limit far) p
    where _page_of_live.kind is null or (select j.kind from pgqueue.job j where j.id = p.job_id) = _page_of_live.kind
    order by p.job_id desc limit most);
end $$;
