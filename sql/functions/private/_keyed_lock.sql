-- Claims of one keyed queue go one after the other, so that its budget is exact; those of different queues never meet. The numbers of the locks are of 64 bits, so that two names
-- do not share one. A budget is counted afterwards, in a statement of its own: for that its snapshot must be a new one.
create function pgqueue._keyed_lock(queue text) returns void
language plpgsql
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    perform pgqueue._refuse('PQ005', format('a claim in a %s transaction', current_setting('transaction_isolation')),
      'Claim in a read committed transaction, best in one of its own: in this one the items that run are not to be seen.');
  end if;
  perform pg_advisory_xact_lock(hashtextextended(queue, pgqueue._lock_class('keyed')));
end $$;
