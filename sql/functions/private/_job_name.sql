-- How sentences for people name a job: those of a batch with what they are of it.
create function pgqueue._job_name(job bigint, kind text, args jsonb) returns text
language plpgsql
as $$
declare
  v_batch bigint := (select s.batch_id from pgqueue.batch_slice s where s.job_id = job);
begin
  return format('Job %s', job) || case
    when v_batch is not null and kind = 'rows.slow' then format(' (slow query %s)', v_batch)
    when v_batch is not null and kind = 'rows.gate' then format(' (for batch %s)', v_batch)
    when v_batch is not null then format(' (%s of batch %s)', case jsonb_array_length(args -> 'rows') when 1 then 'one row' else jsonb_array_length(args -> 'rows') || ' rows' end, v_batch)
    when kind = 'rows.done' and args ? 'batch' then format(' (completion of %s)', args ->> 'batch')
    else '' end;
end $$;
