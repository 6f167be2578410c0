-- Items end. What a worker settled is their result: text, which came as a JSON string; a failure is a result too, of the form callers know from any queue. A client's result is stored
-- before (keyed_ack).
create function pgqueue._keyed_ended(jobs bigint[], states text[], reasons text[], traits integer[], results jsonb[]) returns void
language plpgsql
as $$
declare
  v_items bigint[] := array(select e.id from unnest(jobs, _keyed_ended.traits) e(id, traits) where e.traits & 1024 <> 0);
begin
  -- For _keyed_settled.
  perform pg_advisory_xact_lock_shared(pgqueue._lock_class('keyed end'), n.number) from (select distinct (i & 255)::integer as number from unnest(v_items) i) n;
  if results is not null or 'failed' = any(states) then
    insert into pgqueue.keyed_result (job_id, expires_at, taken, state, queue, key, result)
    select e.id, pgqueue._now() + (select c.keyed_ttl from pgqueue.config c), false, coalesce(e.state, 'succeeded')::pgqueue.final_state, i.queue, i.key,
      case when e.state = 'failed' then jsonb_build_object('error', coalesce((
          select coalesce(a.error ->> 'message', a.reason) from pgqueue.attempt_error a where a.job_id = e.id order by a.failed_at desc limit 1), e.reason))::text
        when jsonb_typeof(e.result) = 'string' then e.result #>> '{}'
        else e.result::text end
    from unnest(jobs, states, reasons, results) e(id, state, reason, result)
    cross join lateral (select i.queue, i.key from pgqueue.keyed_item i where i.job_id = e.id offset 0) i
    where e.id = any(v_items) and (e.state = 'failed' or coalesce(e.state, 'succeeded') = 'succeeded' and e.result is not null)
    on conflict do nothing;
  end if;
  with what as (delete from pgqueue.keyed_payload p where p.job_id = any(v_items)),
  who as (delete from pgqueue.keyed_request r where r.job_id = any(v_items) and r.external_id is null)
  delete from pgqueue.keyed_item i where i.job_id = any(v_items);
end $$;
