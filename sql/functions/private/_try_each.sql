-- _try_on for the jobs of a batch that need it, in the order of their ids. `doubtful`: those that were found locked. A lock that is kept costs a moment each time: after some of those, what was locked
-- is passed over at once, and after some more the batch ends, at `stopped_at`, for another call to go on.
create function pgqueue._try_each(
  in jobs bigint[],
  in doubtful bigint[],
  in action text,
  in subjects jsonb[],
  out done bigint,
  out stopped_at bigint)
language plpgsql
as $$
declare
  v_job bigint;
  v_subject jsonb;
  v_outcome boolean;
  v_waits integer := 0;
begin
  done := 0;
  for v_job, v_subject in
    select e.id, coalesce(e.subject, subjects[1], 'null') from unnest(jobs, subjects) e(id, subject) order by e.id
  loop
    continue when v_waits >= 10 and v_job = any(doubtful);
    v_outcome := pgqueue._try_on(v_job, action, v_subject);
    done := done + case when v_outcome then 1 else 0 end;
    if v_outcome is null then
      v_waits := v_waits + 1;
      if v_waits >= 40 then
        stopped_at := v_job;
        return;
      end if;
    end if;
  end loop;
end $$;
