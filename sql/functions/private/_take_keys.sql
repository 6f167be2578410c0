-- Takes the unique keys of new jobs, in the order of (queue, key) so that batches that share keys cannot deadlock. Returns, parallel to `jobs`, the id that
-- stands for each: its own, or that of the live job which holds its key, be it from another transaction or from earlier in the batch.
create function pgqueue._take_keys(jobs pgqueue.new_job[]) returns bigint[]
language plpgsql
as $$
declare
  v_ids bigint[] := array(select case when j.unique_key is null then j.id end from unnest(jobs) with ordinality j order by j.ordinality);
begin
  while array_position(v_ids, null) is not null loop
    insert into pgqueue.job_key (queue, unique_key, job_id)
    select j.queue, j.unique_key, j.id
    from unnest(jobs) j
    where j.unique_key is not null
    order by j.queue, j.unique_key, j.id
    on conflict do nothing;
    -- A holder that ended between the two statements leaves a null: that key is tried again.
    v_ids := array(
      select coalesce(v.id, (
        select k.job_id from (select k.job_id from pgqueue.job_key k where k.queue = v.queue and k.unique_key = v.unique_key offset 0) k
        order by k.job_id desc limit 1))  -- the offset: else the index on job_id is walked for the order
      from unnest(jobs, v_ids) with ordinality v(own_id, kind, args, queue, priority, due, unique_key, group_key, max_attempts, timeout, expires_at,
        heartbeat, backoff, headers, traits, unique_until, unique_for, on_duplicate, depends_on, refs, on_parent_failure, on_success, on_error, ref, id, ord)
      order by v.ord);
  end loop;
  return v_ids;
end $$;
