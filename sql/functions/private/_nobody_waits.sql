-- Whether no session listens for outcomes: one probe of a lock that listeners share. Two calls at once may take each other for a listener, which costs the
-- second a look. Inlined: keep it one expression.
create function pgqueue._nobody_waits() returns boolean
language sql volatile
return pg_try_advisory_lock(pgqueue._lock_class('wait'), 0) and pg_advisory_unlock(pgqueue._lock_class('wait'), 0);
