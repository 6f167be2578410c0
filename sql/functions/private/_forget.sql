-- What a queue's history setting means for _finish and the lease: 0 keep every outcome, 1 only unsuccessful ones, 2 none.
create function pgqueue._forget(history text) returns smallint
language sql immutable
return case history when 'none' then 2 when 'failed' then 1 else 0 end;
