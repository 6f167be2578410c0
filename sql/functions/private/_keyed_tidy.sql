-- Upkeep of keyed queues: results that have expired; requests that came when their item had just ended; and, as the last net, items nobody has touched for hours: those that wait,
-- two hours after their deadline or four after the last request, those of clients, four hours after the last heartbeat.
create function pgqueue._keyed_tidy(now_ timestamptz) returns bigint
language plpgsql
as $$
declare
  v_jobs bigint[];
  v_job bigint;
  v_done bigint;
begin
  v_jobs := array(
    select r.job_id from pgqueue.keyed_result r where r.expires_at <= now_ order by r.expires_at limit 1000 for update skip locked);
  delete from pgqueue.keyed_request q where q.job_id = any(v_jobs);
  delete from pgqueue.keyed_result r where r.job_id = any(v_jobs);
  v_done := cardinality(v_jobs);

  v_jobs := array(
    select q.job_id from pgqueue.keyed_request q where q.job_id > pgqueue._slice('keyed_request') order by q.job_id limit 1000);
  perform pgqueue._next_slice('keyed_request', v_jobs, 1000);
  delete from pgqueue.keyed_request q
  where q.job_id = any(v_jobs) and q.at < now_ - interval '1 minute'
    and (select i.job_id from pgqueue.keyed_item i where i.job_id = q.job_id) is null
    and (select r.job_id from pgqueue.keyed_result r where r.job_id = q.job_id) is null;

  v_jobs := array(
    select i.job_id from pgqueue.keyed_item i where i.job_id > pgqueue._slice('keyed_item') order by i.job_id limit 1000);
  perform pgqueue._next_slice('keyed_item', v_jobs, 1000);
  for v_job in
    select i.job_id from pgqueue.keyed_item i
    where i.job_id = any(v_jobs) and i.created_at < now_ - interval '2 hours'
      and case
        when i.lease_id is null then greatest(coalesce(i.orphan_at + interval '2 hours', i.created_at + interval '4 hours'), (
          select max(coalesce(q.orphan_at + interval '2 hours', q.at + interval '4 hours')) from pgqueue.keyed_request q where q.job_id = i.job_id)) < now_
        else i.heartbeat_at < now_ - interval '4 hours'
          and (select l.worker_id from pgqueue.lease l where l.id = i.lease_id) = 0 end
    order by i.job_id
  loop
    if pgqueue._keyed_drop(v_job, 'orphaned') then
      v_done := v_done + 1;
    end if;
  end loop;
  return v_done;
end $$;
