-- The part of the final transition that belongs to jobs others wait for. Children are told at once as far as a thousand of them go; upkeep tells the rest, those that are locked just
-- now, and those that wait for so many parents that every settle would meet at their row.
create function pgqueue._parents_ended(jobs bigint[], states text[], traits integer[]) returns void
language plpgsql
as $$
declare
  v_parents bigint[];
  v_states text[];
begin
  select array_agg(e.id order by e.id), array_agg(coalesce(e.state, 'succeeded') order by e.id) into v_parents, v_states
  from unnest(jobs, states, traits) e(id, state, traits) where e.traits & 4096 <> 0;
  perform pgqueue._release(v_parents, v_states, array_fill(0::bigint, array[cardinality(v_parents)]),
    array_fill(9223372036854775807, array[cardinality(v_parents)]), 1000, 1000, false);
end $$;
