-- One more request for an item: its deadline moves later, never earlier, and the external id is remembered. A poller leaves a row only for each twentieth of its deadline, or each second.
create function pgqueue._keyed_join(id bigint, now_ timestamptz, orphan_ms bigint, external_id text) returns void
language plpgsql
as $$
begin
  insert into pgqueue.keyed_request (job_id, at, orphan_at, external_id)
  select _keyed_join.id, now_, now_ + pgqueue._ms(orphan_ms), _keyed_join.external_id
  where not exists (
    select from pgqueue.keyed_request r
    where r.job_id = _keyed_join.id and r.external_id is not distinct from _keyed_join.external_id
      and r.at > now_ - least(interval '1 second', pgqueue._ms(orphan_ms / 20))
      and case when orphan_ms is null then r.orphan_at is null else r.orphan_at >= now_ + pgqueue._ms(orphan_ms) - least(interval '1 second', pgqueue._ms(orphan_ms / 20)) end);
end $$;
