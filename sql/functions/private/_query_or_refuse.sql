-- A query as one who may see it sees it: its owner, and whoever shares it.
create function pgqueue._query_or_refuse(id bigint, as_owner text) returns pgqueue.query
language plpgsql
as $$
declare
  v_query pgqueue.query;
begin
  select * into v_query from pgqueue.query q where q.job_id = id;
  if v_query.job_id is null or v_query.owner <> as_owner
    and not exists (select from pgqueue.query_caller c where c.job_id = id and c.owner = as_owner) then
    perform pgqueue._refuse('PQ002', format('query %s not found', coalesce(id::text, 'null')),
      'It was never submitted, its transaction was rolled back, it is past log_retention, or it belongs to another owner.');
  end if;
  return v_query;
end $$;
