-- {"strategy": "constant"|"linear"|"exponential", "base": seconds, "cap": seconds, "jitter": 0..1}; any key may be missing.
create function pgqueue._check_backoff(backoff jsonb) returns void
language plpgsql
as $$
declare
  v_hint constant text := 'Example: {"strategy": "exponential", "base": 2, "cap": 3600, "jitter": 0.1}; base and cap in seconds.';
  v_key text;
  v_value jsonb;
begin
  if backoff is null then
    return;
  end if;
  if jsonb_typeof(backoff) <> 'object' then
    perform pgqueue._refuse('PQ001', 'backoff is not an object', v_hint);
  end if;
  for v_key, v_value in select e.key, e.value from jsonb_each(backoff) e loop
    if v_key = 'strategy' then
      if v_value not in ('"constant"', '"linear"', '"exponential"') then
        perform pgqueue._refuse('PQ001', format('backoff strategy %s is unknown', v_value), v_hint);
      end if;
    elsif v_key in ('base', 'cap', 'jitter') then
      if jsonb_typeof(v_value) <> 'number' or v_value::numeric < 0 or (v_value::numeric > 0 and v_value::numeric < 1e-9)
        or v_value::numeric > (case v_key when 'jitter' then 1 else 315576000 end) then
        perform pgqueue._refuse('PQ001', format('backoff %s is %s', v_key, v_value), v_hint);
      end if;
    else
      perform pgqueue._refuse('PQ001', format('backoff has an unknown key %s', v_key), v_hint);
    end if;
  end loop;
end $$;
