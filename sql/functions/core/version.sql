create function pgqueue.version()
returns text
language sql security definer stable
set search_path = pg_catalog, pg_temp
as $$
  select v.version_num from pgqueue.schema_version v;
$$;

comment on function pgqueue.version is
'The revision of this schema, as the migrations name it.';
