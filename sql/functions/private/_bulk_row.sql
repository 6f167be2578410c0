-- What a bulk function returns: of the jobs that were selected, those that a batch came to, up to where it stopped before its end. `plain`: what was done all at once, also behind that; `rest`: how many
-- one by one.
create function pgqueue._bulk_row(
  in jobs bigint[],
  in plain bigint[],
  in rest bigint,
  in stopped_at bigint,
  in last_ bigint,
  in more_ boolean,
  out done bigint,
  out skipped bigint,
  out last bigint,
  out more boolean)
language sql immutable
as $$
  select cardinality(plain) + rest,
    (select count(*) from unnest(jobs) i where i <= coalesce(stopped_at, i) and i not in (select p from unnest(plain) p)) - rest,
    coalesce(stopped_at, last_), more_ or stopped_at is not null;
$$;
