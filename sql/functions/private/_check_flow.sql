-- What every way of enqueueing accepts beside what _check_job looks at.
create function pgqueue._check_flow(
  unique_key text,
  unique_by text[],
  unique_until text,
  unique_for interval,
  on_duplicate text,
  depends_on bigint[],
  on_parent_failure text,
  on_success jsonb,
  on_error jsonb) returns void
language plpgsql
as $$
begin
  if unique_by is not null then
    if unique_key is not null then
      perform pgqueue._refuse('PQ001', 'both unique_key and unique_by are given', 'Give one of them.');
    end if;
    if array_ndims(unique_by) > 1 or array_position(unique_by, null) is not null then
      perform pgqueue._refuse('PQ001', 'unique_by has an element that is null or an array', 'Give the names of arguments, or {} for all.');
    end if;
  elsif unique_key is null and num_nonnulls(unique_until, unique_for, on_duplicate) > 0 then
    perform pgqueue._refuse('PQ001', format('%s is given without a unique key',
        case when unique_until is not null then 'unique_until' when unique_for is not null then 'unique_for' else 'on_duplicate' end),
      'Give unique_key or unique_by as well.');
  end if;
  if unique_until not in ('start', 'finish') then
    perform pgqueue._refuse('PQ001', format('unique_until is %L', unique_until), 'It is start or finish.');
  end if;
  if unique_for is not null then
    if unique_until is not null then
      perform pgqueue._refuse('PQ001', 'both unique_until and unique_for are given', 'A key is held until an event or for a time: give one of them.');
    end if;
    perform pgqueue._check_interval('unique_for', unique_for, true);
  end if;
  if on_duplicate not in ('return', 'replace', 'debounce', 'raise') then
    perform pgqueue._refuse('PQ001', format('on_duplicate is %L', on_duplicate), 'It is return, replace, debounce or raise.');
  end if;
  if on_parent_failure not in ('cancel', 'run', 'wait') then
    perform pgqueue._refuse('PQ001', format('on_parent_failure is %L', on_parent_failure), 'It is cancel, run or wait.');
  end if;
  if (case when array_ndims(depends_on) > 1 then true else array_position(depends_on, null) is not null end) then
    perform pgqueue._refuse('PQ001', 'depends_on has an element that is null or an array', 'Give ids of jobs.');
  end if;
  if jsonb_typeof(on_success) not in ('object', 'array') or jsonb_typeof(on_error) not in ('object', 'array') then
    perform pgqueue._refuse('PQ001', format('%s is %s', case when jsonb_typeof(on_success) not in ('object', 'array') then 'on_success' else 'on_error' end,
        case when jsonb_typeof(on_success) not in ('object', 'array') then jsonb_typeof(on_success) else jsonb_typeof(on_error) end),
      'Give a job as enqueue_many takes it, such as {"kind": "notify"}, or an array of them.');
  end if;
  if num_nonnulls(on_success, on_error) > 0 then
    perform pgqueue._check_follow_ups('on_success', on_success, 1), pgqueue._check_follow_ups('on_error', on_error, 1);
  end if;
end $$;
