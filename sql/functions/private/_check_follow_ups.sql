-- Follow-ups are checked when the job they follow is enqueued, as enqueue_many checks its elements, and so are theirs; for when it ends there is nobody to tell. Draws ids for nothing.
create function pgqueue._check_follow_ups(name text, jobs jsonb, level integer) returns void
language plpgsql
as $$
declare
  v_job jsonb;
  v_at integer := 0;
  v_key text;
  v_problem text;
  v_advice text;
begin
  if level > 16 then
    perform pgqueue._refuse('PQ001', format('%s: follow-ups of follow-ups go %s deep', name, level), 'Sixteen is the most: let a job enqueue the rest.');
  end if;
  for v_job in select e from jsonb_array_elements(case jsonb_typeof(jobs) when 'array' then jobs when 'object' then jsonb_build_array(jobs) else '[]' end) e loop
    v_at := v_at + 1;
    begin
      if jsonb_typeof(v_job) <> 'object' then
        perform pgqueue._refuse('PQ001', format('it is %s, not an object', jsonb_typeof(v_job)), 'Give a job as enqueue_many takes it, such as {"kind": "notify"}.');
      end if;
      select k into v_key from jsonb_object_keys(v_job) k
      where k not in ('kind', 'args', 'queue', 'priority', 'run_at', 'delay', 'unique_key', 'group_key', 'max_attempts', 'timeout', 'expires_in', 'heartbeat',
        'backoff', 'headers', 'unique_by', 'unique_until', 'unique_for', 'on_duplicate', 'on_success', 'on_error', 'pass_as')
      order by k limit 1;
      if found then
        perform pgqueue._refuse('PQ001', format('it has %s %L', case when v_key in ('depends_on', 'on_parent_failure', 'ref') then 'the key' else 'an unknown key' end, v_key),
          'Its keys are those of enqueue_many, and "pass_as"; it depends on the job it follows and on no other.');
      end if;
      if jsonb_typeof(v_job -> 'pass_as') not in ('string', 'null') or length(v_job ->> 'pass_as') not between 1 and 200 then
        perform pgqueue._refuse('PQ001', format('pass_as is %s', left((v_job -> 'pass_as')::text, 50)), 'It is the name of the argument that receives the result or the error.');
      end if;
      perform pgqueue._new_job(v_job - array['pass_as', 'on_success', 'on_error'], pgqueue._now());
      if jsonb_typeof(v_job -> 'on_success') not in ('object', 'array', 'null') or jsonb_typeof(v_job -> 'on_error') not in ('object', 'array', 'null') then
        perform pgqueue._refuse('PQ001', 'its own on_success or on_error is neither an object nor an array', 'Give a job as enqueue_many takes it, or an array of them.');
      end if;
      perform pgqueue._check_follow_ups('on_success', v_job -> 'on_success', level + 1), pgqueue._check_follow_ups('on_error', v_job -> 'on_error', level + 1);
    exception
      when data_exception or sqlstate 'PQ001' then
        get stacked diagnostics v_problem = message_text, v_advice = pg_exception_hint;
        perform pgqueue._refuse('PQ001', format('%s, element %s: %s', name, v_at, v_problem),
          coalesce(nullif(v_advice, ''), 'The values are those of the parameters of enqueue; intervals are seconds or text such as ''5 minutes''.'));
    end;
  end loop;
end $$;
