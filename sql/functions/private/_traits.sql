-- The bit mask of ready and lease (tables/ready.sql), from what a job has.
create function pgqueue._traits(
  unique_key text,
  group_key text,
  timeout interval,
  heartbeat interval,
  expires_at timestamptz) returns integer
language sql immutable
return case when unique_key is null then 0 else 1 end + case when group_key is null then 0 else 2 end
  + case when timeout is null then 0 else 4 end + case when heartbeat is null then 0 else 8 end
  + case when expires_at is null then 0 else 16 end;
