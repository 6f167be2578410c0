-- A waiting item is wanted more urgently. Whoever has it just now, a claim or another join, is not waited for.
create function pgqueue._keyed_raise(id bigint, priority smallint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
  v_row pgqueue.ready;
begin
  select r.* into v_row from pgqueue.ready r where r.ctid = (select w.place from pgqueue._in_ready(id) w) for update skip locked;
  if not found or v_row.job_id <> id or v_row.priority >= priority then
    return;
  end if;
  delete from pgqueue.ready r where r.queue = v_row.queue and r.priority = v_row.priority and r.seq = v_row.seq;
  insert into pgqueue.changed_priority (job_id, priority) values (_keyed_raise.id, _keyed_raise.priority)
  on conflict (job_id) do update set priority = excluded.priority;
  perform pgqueue._enter(array[id], array[v_row.queue], array[priority], array[v_row.attempt], array[v_row.traits | 64], true);
end $$;
