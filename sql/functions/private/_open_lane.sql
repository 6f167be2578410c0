-- Makes a lane known to claims. Written only when it is not seen, and without a unique constraint: were there one, an uncommitted first
-- enqueue into a lane would make every other enqueue into it wait for that transaction's end. Remembers for _lane_known that it is there.
create function pgqueue._open_lane(queue text, priority smallint, grouped boolean) returns void
language plpgsql
as $$
begin
  if not exists (
    select from pgqueue.lane l
    where l.queue = _open_lane.queue and l.priority = _open_lane.priority and l.grouped >= _open_lane.grouped) then
    insert into pgqueue.lane (queue, priority, grouped) values (_open_lane.queue, _open_lane.priority, _open_lane.grouped);
  end if;
  perform set_config('pgqueue.lane_' || (hashtextextended(queue, priority::bigint) & 255)::text,
    priority::text || E'\x1f' || pg_relation_filenode('pgqueue.lane')::text || E'\x1f' || queue, false);
end $$;
