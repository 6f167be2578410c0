-- Counts by bucket as an array: its first element counts bucket 0, its last one the highest bucket there is. Buckets that are null count nowhere.
create function pgqueue._spread(buckets integer[], counts bigint[]) returns bigint[]
language sql immutable
return array(
  select coalesce(sum(e.n), 0)::bigint
  from generate_series(0, (select max(b) from unnest(buckets) b)) s(bucket)
  left join unnest(buckets, counts) e(bucket, n) on e.bucket = s.bucket
  group by s.bucket order by s.bucket);
