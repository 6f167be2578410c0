-- Jobs give up their unique keys, but for those that are held for a period: they outlast their jobs. Nothing waits here for an enqueue that has the row of a key locked, as long as a user's transaction may be: it is left to it, and noted.
create function pgqueue._free_keys(jobs bigint[]) returns void
language plpgsql
as $$
declare
  v_left bigint[];
begin
  delete from pgqueue.job_key k where k.ctid = any(array(select k.ctid from pgqueue.job_key k where k.job_id = any(jobs) and k.until is null for update skip locked));
  v_left := array(select k.job_id from pgqueue.job_key k where k.job_id = any(jobs) and k.until is null);
  if v_left <> '{}' then
    insert into pgqueue.left_key (job_id) select l from unnest(v_left) l on conflict do nothing;
  end if;
end $$;
