-- Two distributions as one, however far each goes.
create function pgqueue._sum_buckets(one bigint[], other bigint[]) returns bigint[]
language sql immutable
return array(select coalesce(u.a, 0) + coalesce(u.b, 0) from unnest(one, other) with ordinality u(a, b, nth) order by u.nth);
