-- The one clock. A test may set `pgqueue.now` in its session and every function believes it. Inlined by the planner: keep it one
-- expression, without options that prevent that.
create function pgqueue._now() returns timestamptz
language sql volatile
return coalesce(nullif(current_setting('pgqueue.now', true), '')::timestamptz, clock_timestamp());
