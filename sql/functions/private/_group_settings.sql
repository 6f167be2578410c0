-- What a group has of its own; an empty object when it has nothing.
create function pgqueue._group_settings(queue text, group_key text) returns jsonb
language sql stable
as $$
  select coalesce((
    select jsonb_strip_nulls(jsonb_build_object('weight', g.weight, 'group_limit', g.group_limit, 'rate_limit', g.rate_limit, 'rate_period', g.rate_period))
    from pgqueue.group_setting g where g.queue = _group_settings.queue and g.group_key = _group_settings.group_key), '{}');
$$;
