-- Inlined: keep it one expression.
create function pgqueue._ms(ms bigint) returns interval
language sql immutable
return make_interval(secs => ms / 1000.0::float8);
