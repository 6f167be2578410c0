-- First key of our two-key advisory locks: 'sleep' and 'asleep' (a worker sleeps on a queue), 'wait' (somebody listens for outcomes), 'group'
-- (admission to one group), 'lead' (leader and upkeep). Derived from the schema's name, so two installations in one database stay apart.
create function pgqueue._lock_class(purpose text) returns integer
language sql immutable
return hashtext('pgqueue' || '.' || purpose);
