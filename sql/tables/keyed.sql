-- Keyed queues. An item is a job of the core, unique by (queue, key), and stands where any job stands; these tables hold what is its own. An item goes when it ends,
-- its result stays for a while.

-- What changes while the item lives. `lease_id` says which lease holds it, null while it waits: claims and returns keep it true, so that the lists and the budget of one queue are
-- read here and nowhere else. The two indexes have a half of the items each.
create table pgqueue.keyed_item (
  job_id bigint primary key,
  lease_id bigint,
  created_at timestamptz not null,
  claimed_at timestamptz,
  heartbeat_at timestamptz,
  orphan_at timestamptz,
  priority smallint not null,
  exclusive boolean not null,
  queue text collate "C" not null,
  key text collate "C" not null,
  process_id text collate "C",
  stage_key text collate "C",
  extra text)
  with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index keyed_item_pending on pgqueue.keyed_item (queue, priority desc, job_id) where lease_id is null;
create index keyed_item_active on pgqueue.keyed_item (queue, job_id) where lease_id is not null;

-- What is to be done: text of any size, written once, apart so that no list touches it.
create table pgqueue.keyed_payload (
  job_id bigint primary key,
  payload text not null);

-- Requests for an item after the first, and everybody's external id. Appended, never updated: whoever joins inside a long transaction stands in nobody's way.
create table pgqueue.keyed_request (
  job_id bigint not null,
  at timestamptz not null,
  orphan_at timestamptz,
  external_id text collate "C");
create index on pgqueue.keyed_request (job_id);

-- Results, under the ids of their items. `taken`: a read by key has had it, or a read by id has hidden it from those.
create table pgqueue.keyed_result (
  job_id bigint primary key,
  expires_at timestamptz not null,
  taken boolean not null,
  state pgqueue.final_state not null,
  queue text collate "C" not null,
  key text collate "C" not null,
  result text not null) with (fillfactor = 90);
-- An expression, which a condition on job_id alone does not fit: with the statistics of an empty table it would be looked up here, in the whole of the index. By the same token, a queue's items are sorted
-- by `job_id + 0`, which the primary key does not give.
create index keyed_result_key on pgqueue.keyed_result (queue, key, (job_id + 0) desc);
create index on pgqueue.keyed_result (expires_at);

create table pgqueue.number (
  name text collate "C" primary key,
  value bigint not null) with (fillfactor = 50);

do $$
begin
  -- As for the results of queries.
  execute 'alter table pgqueue.keyed_payload alter column payload set compression lz4';
  execute 'alter table pgqueue.keyed_result alter column result set compression lz4';
exception
  when feature_not_supported then null;
end $$;

comment on table pgqueue.keyed_item is 'Live items of keyed queues; the job of the same id is what waits and runs.';
comment on table pgqueue.keyed_payload is 'What live items of keyed queues ask for.';
comment on table pgqueue.keyed_request is 'Who asked again for an item, and under which external ids.';
comment on table pgqueue.keyed_result is 'Results of keyed queues, until they expire.';
comment on table pgqueue.number is 'Counters of next_number.';
