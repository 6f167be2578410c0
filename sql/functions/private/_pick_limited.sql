-- As _pick, where some of the lanes have groups, which are admitted first, or belong to queues with max_running, whose room is counted under the
-- queue's limiter, or to owners who take turns. All limiters now and in one order: claims that see other lanes would meet them in another, and deadlock.
create function pgqueue._pick_limited(lanes pgqueue.lane_in_view[], n integer, urgent boolean) returns tid[]
language plpgsql
as $$
declare
  v_lane pgqueue.lane_in_view;
  v_picked tid[];
  v_more tid[];
  v_room jsonb := jsonb_build_object();
  v_need integer;
  v_left integer := n;
  v_admitted text[] := array[]::text[];
  v_queue text;
begin
  perform from pgqueue.limiter l
  where l.queue = any(array(select v.queue from unnest(lanes) v where v.max_running is not null))
  order by l.queue for no key update;
  foreach v_lane in array lanes loop
    v_need := v_left;
    if v_lane.max_running is not null then
      if not v_room ? v_lane.queue then
        v_room := v_room || jsonb_build_object(v_lane.queue, pgqueue._room(v_lane.queue, v_lane.max_running));
      end if;
      v_need := least(v_need, (v_room ->> v_lane.queue)::integer);
      continue when v_need <= 0;
    end if;
    if v_lane.grouped and v_lane.queue <> all(v_admitted) then
      perform pgqueue._admit(v_lane.queue, least(greatest(2 * v_need, 100), 1000));
      v_admitted := v_admitted || v_lane.queue;
      v_more := pgqueue._pick_turns(v_lane.queue, v_need);
      if v_more is not null then
        v_picked := v_picked || v_more;
        v_left := v_left - cardinality(v_more);
        v_need := v_need - cardinality(v_more);
        if v_room ? v_lane.queue then
          v_room := v_room || jsonb_build_object(v_lane.queue, (v_room ->> v_lane.queue)::integer - cardinality(v_more));
        end if;
        exit when v_left <= 0;
        continue when v_need <= 0;
      end if;
    end if;
    v_lane.grouped := false;
    v_lane.max_running := null;
    v_more := (pgqueue._pick(array[v_lane], v_need, urgent)).picked;
    v_picked := v_picked || v_more;
    v_left := v_left - coalesce(cardinality(v_more), 0);
    if v_room ? v_lane.queue then
      v_room := v_room || jsonb_build_object(v_lane.queue, (v_room ->> v_lane.queue)::integer - coalesce(cardinality(v_more), 0));
    end if;
    exit when v_left <= 0;
  end loop;
  foreach v_queue in array v_admitted loop
    perform pgqueue._forget_owners(v_queue);
  end loop;
  return v_picked;
end $$;
