-- What `why` says of a queue whose rate is used up; null when it is not.
create function pgqueue._why_rate(queue text) returns text
language plpgsql
as $$
declare
  v_due timestamptz := pgqueue._rate_due(queue);
begin
  return (
    select format('Queue %s starts at most %s jobs in %s: it has room again at %s.', q.name, q.rate_limit, coalesce(q.rate_period, '1 second'),
      to_char(v_due, 'YYYY-MM-DD HH24:MI:SS.MS OF'))
    from pgqueue.queue q where q.name = _why_rate.queue and v_due is not null);
end $$;
