-- The worker must be registered: one that was declared lost must not go on as if nothing had happened.
create function pgqueue._check_worker(worker bigint) returns void
language plpgsql
as $$
begin
  if not exists (select from pgqueue.worker w where w.id = _check_worker.worker) then
    perform pgqueue._refuse('PQ003', format('worker %s is not registered', coalesce(worker::text, 'null')),
      'It was never registered, has deregistered, or missed its heartbeats and was declared lost: call register_worker and use the new id.');
  end if;
end $$;
