-- The newest result of this identity that ended after that time and has not expired, if there is one. As a range of one key, for the reason given in _admit_groups.
create function pgqueue._fresh_result(identity bytea, since timestamptz) returns bigint
language sql stable
as $$
  select q.job_id
  from (select q.job_id, q.identity from pgqueue.query q where q.identity between $1 and $1 order by q.identity desc, q.job_id desc limit 100) q
  cross join lateral (select r.outcome, r.ended_at, r.expires_at from pgqueue.query_run r where r.job_id = q.job_id offset 0) r
  where r.outcome = 'succeeded' and r.ended_at >= $2 and r.expires_at > pgqueue._now()
  order by q.job_id desc limit 1;
$$;
