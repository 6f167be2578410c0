-- Whether no worker sleeps on a queue: the first probe of _wake, for those who go on without calling it. Inlined: keep it one expression.
create function pgqueue._nobody_sleeps(queue text) returns boolean
language sql volatile
return pg_try_advisory_lock(pgqueue._lock_class('sleep'), hashtext(queue))
  and pg_advisory_unlock(pgqueue._lock_class('sleep'), hashtext(queue));
