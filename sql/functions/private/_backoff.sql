-- How long a job waits after its n-th failed attempt. Missing keys: exponential, base 2 seconds, cap one hour, jitter a tenth. Jitter spreads the
-- delay evenly over [1 - jitter, 1 + jitter] of itself, and never beyond the cap.
create function pgqueue._backoff(spec jsonb, attempt integer) returns interval
language plpgsql volatile
as $$
declare
  v_base float8 := coalesce((spec ->> 'base')::float8, 2);
  v_cap float8 := coalesce((spec ->> 'cap')::float8, 3600);
  v_jitter float8 := coalesce((spec ->> 'jitter')::float8, 0.1);
  v_delay float8;
begin
  v_delay := case coalesce(spec ->> 'strategy', 'exponential')
    when 'constant' then v_base
    when 'linear' then v_base * attempt
    else v_base * 2 ^ least(attempt - 1, 60) end;
  v_delay := least(v_cap, v_delay) * (1 + v_jitter * (2 * random() - 1));
  return make_interval(secs => least(v_cap, v_delay));
end $$;
