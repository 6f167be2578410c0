-- The fence of what workers write while a job runs: holds the lease for this transaction, so that nobody takes the job away meanwhile, or refuses.
create function pgqueue._hold_lease(lease bigint, job bigint) returns void
language plpgsql
as $$
begin
  perform from pgqueue.lease l where l.id = _hold_lease.lease and l.job_ids @> array[_hold_lease.job] for share;
  if not found then
    perform pgqueue._refuse('PQ004', format('lease %s does not hold job %s', coalesce(lease::text, 'null'), coalesce(job::text, 'null')),
      'The job was taken away: stop working on it, and settle nothing.');
  end if;
end $$;
