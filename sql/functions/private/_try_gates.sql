-- Of jobs that are about to be let go or cancelled, those that may be: all but the gates of batches that somebody has locked, an append in an open transaction above all, whom nobody here
-- waits for. One whose batch is forgotten has nobody to lock.
create function pgqueue._try_gates(jobs bigint[]) returns bigint[]
language plpgsql
as $$
declare
  v_gates bigint[] := array(select w.job_id from pgqueue.dependent w where w.job_id = any(jobs) and w.traits & 512 <> 0);
  v_batches bigint[] := array(select (select s.batch_id from pgqueue.batch_slice s where s.job_id = g) from unnest(v_gates) g);
begin
  v_batches := array(
    select c.batch_id from pgqueue.batch_count c
    where c.batch_id = any(v_batches) order by c.batch_id for no key update skip locked);
  return array(
    select j from unnest(jobs) j
    where j <> all(v_gates) or coalesce((select s.batch_id = any(v_batches) from pgqueue.batch_slice s where s.job_id = j), true));
end $$;
