create function pgqueue._unknown_schedule(name text) returns void
language plpgsql
as $$
begin
  perform pgqueue._check_name('name', name, 200);
  perform pgqueue._refuse('PQ002', format('there is no schedule %L', name), 'pgqueue.schedules() lists them.');
end $$;
