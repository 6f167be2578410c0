-- The newest result of a key, if nobody has read it yet.
create function pgqueue._keyed_fresh(queue text, key text, now_ timestamptz) returns bigint
language plpgsql stable
as $$
begin
  return (
    select r.job_id
    from (
      select r.job_id, r.taken, r.expires_at from pgqueue.keyed_result r
      where r.queue = _keyed_fresh.queue and r.key = _keyed_fresh.key order by r.job_id + 0 desc limit 1) r
    where not r.taken and r.expires_at > now_);
end $$;
