-- Claims one waiting item for a client. False when it is not where a claim finds it, or another session has it.
create function pgqueue._keyed_take(item bigint, line text, forget smallint) returns boolean
language plpgsql
as $$
declare
  v_row record;
begin
  delete from pgqueue.ready r
  where r.ctid = (
    select w.ctid from pgqueue.ready w where w.ctid = (select p.place from pgqueue._in_ready(item) p) and w.job_id = item for update skip locked)
  returning r.attempt, r.traits into v_row;
  if not found then
    delete from pgqueue.suspect s
    where s.ctid = (select w.ctid from pgqueue.suspect w where w.job_id = item for update skip locked)
    returning s.attempt, s.traits into v_row;
    if not found then
      return false;
    end if;
  end if;
  return pgqueue._keyed_lease(item, v_row.attempt, v_row.traits, line, forget);
end $$;
