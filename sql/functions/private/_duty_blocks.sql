-- Upkeep: blocks ahead of the sequence. A block that has been in use for `block_age` is closed by moving the sequence to the next one, so that history
-- of a quiet installation can be dropped by time as well; the skipped ids cost nothing. An enqueue that drew an id before the jump still finds
-- its block there.
create function pgqueue._duty_blocks() returns bigint
language plpgsql
as $$
declare
  v_now timestamptz := pgqueue._now();
  v_config pgqueue.config;
  v_last bigint;
  v_current pgqueue.block;
  v_low bigint;
  v_done bigint := 0;
begin
  select * into v_config from pgqueue.config;
  select s.last_value into v_last from pgqueue.job_id s;
  select * into v_current from pgqueue.block b where v_last >= b.low and v_last < b.high;
  if found
    and (select min(j.created_at) from (select j.created_at from pgqueue.job j where j.id >= v_current.low and j.id < v_current.high order by j.id limit 1) j)
      < v_now - v_config.block_age
  then
    select b.low into v_low from pgqueue.block b where b.low >= v_current.high order by b.low limit 1;
    if found then
      -- Others draw from the sequence meanwhile: forward only, and never past the block they have reached.
      perform setval('pgqueue.job_id', v_low, false) where (select s.last_value from pgqueue.job_id s) < v_current.high;
      v_last := v_low;
      v_done := v_done + 1;
    end if;
  end if;
  while (select count(*) from pgqueue.block b where b.high > v_last) <= v_config.blocks_ahead loop
    select coalesce(max(b.high), 0) into v_low from pgqueue.block b;
    v_low := greatest(v_low, v_last / v_config.block_size * v_config.block_size);
    perform pgqueue._add_block(v_low, v_low + v_config.block_size);
    v_done := v_done + 1;
  end loop;
  return v_done;
end $$;
