-- Makes a new batch, its rows added, wait for other jobs, by a job that stands for it among those that wait. It does nothing for a batch that is to wait for none; where they have all ended,
-- the batch goes, or is aborted, at once.
create function pgqueue._put_gate(batch pgqueue.batch, depends_on bigint[], on_parent_failure text) returns void
language plpgsql
as $$
declare
  v_gate bigint;
  v_parents bigint[];
begin
  if not (batch).waits then
    return;
  end if;
  v_gate := nextval('pgqueue.job_id');
  v_parents := array(select distinct p from unnest(depends_on) p order by p);
  insert into pgqueue.job (id, created_at, priority, queue, kind, args, depends_on)
  values (v_gate, pgqueue._now(), (batch).priority, (batch).queue, 'rows.gate', jsonb_build_object('batch', (batch).id), v_parents);
  insert into pgqueue.batch_slice (job_id, batch_id) values (v_gate, (batch).id);
  update pgqueue.batch b set gate = v_gate where b.id = (batch).id;
  if cardinality(pgqueue._hold_new(array[(
    v_gate, 'rows.gate', null, (batch).queue, (batch).priority, pgqueue._now(), null, null, null, null, null, null, null, null, 512, null, null, null,
    v_parents, null, on_parent_failure, null, null, null)::pgqueue.new_job], pgqueue._now())) > 0
  then
    perform pgqueue._open_gates(array[v_gate], array[(batch).queue], array[512]);
  end if;
end $$;
