-- The audit trail.
create view pgqueue.query_log as
select q.job_id as id, q.owner, q.sql, q.params, q.datasource, q.role, q.settings, q.queue, q.submitted_at, r.started_at, r.ended_at,
  r.ended_at - r.started_at as took, coalesce(r.row_count, 0) as row_count, coalesce(r.byte_count, 0) as byte_count,
  r.outcome::text as outcome, r.reason, r.error ->> 'sqlstate' as sqlstate, r.error ->> 'message' as error
from pgqueue.query q left join pgqueue.query_run r on r.job_id = q.job_id;

comment on view pgqueue.query_log is
'Who asked for which query, with which parameters, as which role, when, for how long, and what came of it. Kept for log_retention after the end (90 days), longer than results and jobs are.';
