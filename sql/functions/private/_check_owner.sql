-- What belongs to another owner is as unknown as what never was.
create function pgqueue._check_owner(batch pgqueue.batch, as_owner text) returns void
language plpgsql
as $$
begin
  if batch.owner <> as_owner then
    perform pgqueue._refuse('PQ002', format('%s %s is unknown', replace(batch.kind, '_', ' '), batch.id), 'It belongs to another owner.');
  end if;
end $$;
