-- When a sweep that has just ended is due again: a sweep that cost much is due less often. Seconds since the epoch. Inlined: keep it one expression.
create function pgqueue._sweep_again(started float8) returns float8
language sql volatile
return date_part('epoch', clock_timestamp()) + greatest(0.2, 10 * (date_part('epoch', clock_timestamp()) - started));
