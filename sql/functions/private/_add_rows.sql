-- Adds rows to a batch: checked, counted, cut into slices, each a job. The jobs wait in ready, or in held while the batch is. Refused when that is more than their queue takes; what is held is not counted.
-- Returns how many rows the batch has now.
create function pgqueue._add_rows(batch pgqueue.batch, lines integer[], inputs jsonb[]) returns integer
language plpgsql
as $$
declare
  v_bad record;
  v_rows integer;
  v_count integer := coalesce(cardinality(lines), 0);
  v_line integer := case when (batch).kind = 'slow_query' then 0 else 1 end;
begin
  if array_ndims(lines) > 1 or array_ndims(inputs) > 1 or v_count <> coalesce(cardinality(inputs), 0) then
    perform pgqueue._refuse('PQ001', format('lines has %s elements and inputs %s', v_count, coalesce(cardinality(inputs), 0)), 'Give arrays of the same length.');
  end if;
  if v_count = 0 then
    return (select c.rows from pgqueue.batch_count c where c.batch_id = (batch).id);
  end if;
  select e.ord, e.line, e.input into v_bad
  from unnest(lines, inputs) with ordinality e(line, input, ord) where e.line is null or e.line < v_line or e.input is null order by e.ord limit 1;
  if found then
    perform pgqueue._refuse('PQ001', format('%s of row %s is %s', case when v_bad.input is null then 'input' else 'line' end, v_bad.ord,
      case when v_bad.input is null then 'null' else coalesce(v_bad.line::text, 'null') end), 'Each row has a line of at least 1 and an input, any JSON.');
  end if;
  update pgqueue.batch_count c set rows = c.rows + v_count, pending = c.pending + v_count where c.batch_id = (batch).id returning c.rows into v_rows;
  perform pgqueue._make_slices(batch, array(
    select jsonb_agg(jsonb_build_array(v_rows - v_count + e.ord - 1, e.line, e.input) order by e.ord)
    from unnest(lines, inputs) with ordinality e(line, input, ord)
    group by (e.ord - 1) / (batch).slice_size order by (e.ord - 1) / (batch).slice_size), null);
  if (batch).status <> 'held' and pg_sequence_last_value('pgqueue.bounded') is not null then
    perform pgqueue._refuse_if_full((batch).queue, array(select s.job_id from pgqueue.batch_slice s where s.batch_id = (batch).id limit 1));
  end if;
  return v_rows;
end $$;
