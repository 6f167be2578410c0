-- Remembers where a slice ended; after one that was not full, the table begins again.
create function pgqueue._next_slice(purpose text, jobs bigint[], size integer) returns void
language plpgsql
as $$
begin
  perform set_config('pgqueue.slice_' || purpose, case when cardinality(jobs) < size then '0' else jobs[size]::text end, false);
end $$;
