-- Takes the unique keys of new jobs. Returns, parallel to `jobs`, the id that stands for each: its own, or that of the job which holds its key, be it from another transaction or
-- from earlier in the batch; and the jobs, as later ones of the same key may have replaced their arguments. A try that fails gives back what it has locked, as it would deadlock
-- with others on their way through the keys; a single job has locked nothing then.
create function pgqueue._take_keys(inout jobs pgqueue.new_job[], in now_ timestamptz, out ids bigint[])
language plpgsql
set enable_seqscan = off
set enable_bitmapscan = off
set jit = off
as $$
declare
  v_try record;
  v_deadlocks integer := 0;
begin
  if not exists (select from unnest(jobs) j where j.unique_key is not null) then
    ids := array(select j.id from unnest(jobs) with ordinality j order by j.ordinality);
    return;
  end if;
  while cardinality(jobs) = 1 loop
    select t.jobs, t.ids into jobs, ids from pgqueue._try_keys(jobs, now_) t;
    if ids is not null then
      return;
    end if;
  end loop;
  loop
    begin
      select t.jobs, t.ids into v_try from pgqueue._try_keys(jobs, now_) t;
      if v_try.ids is null then
        raise sqlstate 'PQ999';
      end if;
      jobs := v_try.jobs;
      ids := v_try.ids;
      return;
    exception
      when sqlstate 'PQ999' then
        null;
      when deadlock_detected then
        -- The other goes on with what this try gave back. Again and again only when the caller's transaction itself holds what the other wants.
        v_deadlocks := v_deadlocks + 1;
        if v_deadlocks > 3 then
          raise;
        end if;
    end;
  end loop;
end $$;
