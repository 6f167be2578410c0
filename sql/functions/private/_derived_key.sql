-- The unique key of a job whose key is made of some of its arguments, none meaning all: the kind and what they are, as jsonb writes it, so that order and spaces do
-- not count; an argument that is not given differs from one that is null. A long one is cut and told from others by its digest.
create function pgqueue._derived_key(kind text, args jsonb, names text[]) returns text
language plpgsql immutable
as $$
declare
  v_key text;
begin
  if names is null then
    return null;
  end if;
  v_key := kind || ' ' || case when cardinality(names) = 0 then args
    else coalesce((select jsonb_object_agg(a.key, a.value) from jsonb_each(args) a where a.key = any(names)), '{}') end::text;
  return case when length(v_key) <= 500 and octet_length(v_key) <= 1800 then v_key else left(v_key, 430) || ' ' || encode(sha256(convert_to(v_key, 'UTF8')), 'hex') end;
end $$;
