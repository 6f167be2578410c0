create function pgqueue.batch_list(
  app text default null,
  op text default null,
  max_age interval default null,
  kind text default null,
  status text default null,
  max integer default 50,
  before bigint default null,
  owner text default null)
returns setof pgqueue.batch_info
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set jit = off
as $$
begin
  if kind not in ('batch', 'slow_query') or status not in ('held', 'queued', 'running', 'succeeded', 'failed', 'aborted') then
    perform pgqueue._refuse('PQ001', format('kind is %L and status %L', kind, status),
      'Kinds: batch, slow_query. Statuses: held, queued, running, succeeded, failed, aborted.');
  end if;
  perform pgqueue._check_interval('max_age', max_age, true);
  if max is null or max not between 1 and 1000 then
    perform pgqueue._refuse('PQ001', format('max is %s', coalesce(max::text, 'null')), 'Give a number from 1 to 1000.');
  end if;
  -- Two statements, since one that allows for both would be planned for the worse.
  if app is not null and op is not null then
    return query
    select i.*
    from (
      select b from pgqueue.batch b
      where b.app between batch_list.app and batch_list.app and b.op between lower(batch_list.op collate "C") and lower(batch_list.op collate "C") and -b.id > -greatest(coalesce(before, 9223372036854775807), -9223372036854775807)
      order by b.app, b.op, -b.id) l(b)
    cross join lateral pgqueue._batch_info(l.b) i
    where (batch_list.kind is null or i.kind = batch_list.kind) and (batch_list.status is null or i.status = batch_list.status)
      and (batch_list.owner is null or i.owner = batch_list.owner) and (max_age is null or i.submitted_at > pgqueue._now() - max_age)
    limit max;
  else
    return query
    select i.*
    from (
      select b from pgqueue.batch b
      where b.id < coalesce(before, 9223372036854775807) and (batch_list.app is null or b.app = batch_list.app) and (batch_list.op is null or b.op = lower(batch_list.op collate "C"))
      order by b.id desc) l(b)
    cross join lateral pgqueue._batch_info(l.b) i
    where (batch_list.kind is null or i.kind = batch_list.kind) and (batch_list.status is null or i.status = batch_list.status)
      and (batch_list.owner is null or i.owner = batch_list.owner) and (max_age is null or i.submitted_at > pgqueue._now() - max_age)
    limit max;
  end if;
end $$;

comment on function pgqueue.batch_list is
'Batches and slow queries, newest first, at most max (1 to 1000) of them; next page: before = the last id. Filters: app, op, max_age since the submission, kind (batch, slow_query), status, owner. Errors: PQ001.';
