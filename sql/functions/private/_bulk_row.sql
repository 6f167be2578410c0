-- What a bulk function returns: of the jobs that were selected, those that a batch came to, up to where it stopped before its end.
create function pgqueue._bulk_row(
  in jobs bigint[],
  in done_ bigint,
  in stopped_at bigint,
  in last_ bigint,
  in more_ boolean,
  out done bigint,
  out skipped bigint,
  out last bigint,
  out more boolean)
language sql immutable
as $$
  select done_, (select count(*) from unnest(jobs) i where i <= coalesce(stopped_at, i)) - done_, coalesce(stopped_at, last_), more_ or stopped_at is not null;
$$;
