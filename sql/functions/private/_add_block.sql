-- Makes the partitions for ids from `low` up to `high`. Made aside and attached: creating them in place would lock the parents against
-- every enqueue until this transaction ends. What the default partitions hold of the range moves in first, as attaching demands.
create function pgqueue._add_block(low bigint, high bigint) returns void
language plpgsql
as $$
declare
  v_table text;
  v_id text;
  v_part text;
begin
  foreach v_table in array array['job', 'outcome', 'attempt_error', 'job_log', 'job_event'] loop
    v_id := case v_table when 'job' then 'id' else 'job_id' end;
    v_part := v_table || '_' || low;
    execute format('create table pgqueue.%I (like pgqueue.%I including defaults including constraints)', v_part, v_table);
    execute format('alter table pgqueue.%I add constraint %I check (%I >= %s and %I < %s)', v_part, v_part || '_range', v_id, low, v_id, high);
    execute format('alter table pgqueue.%I set (autovacuum_freeze_min_age = 0, autovacuum_vacuum_insert_scale_factor = 0.5)', v_part);
    execute format(
      'with stray as (delete from pgqueue.%I where %I >= %s and %I < %s returning *) insert into pgqueue.%I select * from stray',
      v_table || '_default', v_id, low, v_id, high, v_part);
    execute format('alter table pgqueue.%I attach partition pgqueue.%I for values from (%s) to (%s)', v_table, v_part, low, high);
    execute format('alter table pgqueue.%I drop constraint %I', v_part, v_part || '_range');
  end loop;
  insert into pgqueue.block (low, high, made_at, look_again_at) values (low, high, pgqueue._now(), pgqueue._now());
end $$;
